"""Spectra of all convolutions of a network that was not made here."""

import pytest
import torch
from model_cases import random_network
from torch import nn
from torch.nn import functional

from cbnlib import weight_spectra
from cbnlib.spectra.modules import conv_spectrum, module_spectra


class Small(nn.Module):
    """Layers of every kind that may occur, one on two grids, one never used, one by keyword."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.shared = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.down = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(6, 6, 3, padding=1)
        self.dropout = nn.Dropout()
        self.up = nn.ConvTranspose2d(6, 1, 2, stride=2)
        self.unused = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        h = self.shared(self.stem(x))
        self.shared(h[..., ::2, ::2])
        return self.up(self.dropout(self.deep(input=self.down(h))))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Small().train()


def test_each_convolution_on_its_own_grid(model):
    spectra, left_out = module_spectra(model, torch.zeros(1, 1, 12, 8))
    assert list(spectra) == ["stem.0", "deep"]
    assert [spectrum.grid for spectrum in spectra.values()] == [(14, 10), (8, 6)]
    expected = conv_spectrum(model.deep, (6, 4))
    torch.testing.assert_close(spectra["deep"].values, expected.values)
    assert left_out == {
        "shared": "acts on 2 grids: [(6, 4), (12, 8)]",
        "down": "only stride 1 is supported, got stride (2, 2)",
        "up": "need a torch.nn.Conv1d or Conv2d, got ConvTranspose2d",
        "unused": "acts on 0 grids: []",
    }


def test_the_network_is_left_as_it_was(model):
    model.dropout.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    module_spectra(model, torch.randn(2, 1, 8, 8))
    assert model.training
    assert not model.dropout.training
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_hooks_are_gone_after_an_input_that_does_not_fit(model):
    with pytest.raises(RuntimeError):
        module_spectra(model, torch.zeros(1, 3, 8, 8))
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_what_does_more_than_its_weight_is_left_out():
    model = nn.Sequential(*(nn.Conv1d(1, 1, 3, padding=1) for _ in range(3)))
    model[1].register_forward_hook(lambda _, __, output: 3 * output)
    nn.utils.parametrizations.spectral_norm(model[2])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    spectra, left_out = module_spectra(model, torch.randn(1, 1, 8))
    assert list(spectra) == ["0", "2"]
    assert left_out["1"].startswith("Conv1d has hooks (<lambda>)")
    assert len(model[1]._forward_hooks) == 1
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


@pytest.mark.parametrize("options", [{}, {"parametrization": "spectral"}, {"window": 3}], ids=str)
def test_our_own_layers_are_found(options):
    model = random_network(grid=(5, 4), head="pooling", **options)
    spectra, left_out = module_spectra(model, torch.zeros(1, 1, 5, 4, dtype=torch.float64))
    assert not left_out
    for spectrum, expected in zip(spectra.values(), weight_spectra(model), strict=True):
        assert not spectrum.upper_bound
        torch.testing.assert_close(spectrum.values, expected.values, rtol=0, atol=0)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x):
        return functional.conv1d(self.conv(x), self.conv.weight, padding=1)


@pytest.mark.filterwarnings("ignore:`torch.jit.* is (deprecated|not supported):DeprecationWarning")
@pytest.mark.parametrize("compiled", ["no", "script", "trace"])
def test_convolutions_of_no_module_are_counted(compiled):
    model = Functional()
    x = torch.zeros(1, 1, 8)
    if compiled == "script":
        model = torch.jit.script(model)
    if compiled == "trace":
        model = torch.jit.trace(model, x)
    spectra, left_out = module_spectra(model, x)
    assert list(spectra) == (["conv"] if compiled == "no" else [])
    assert list(left_out) == ["other"]
    assert left_out["other"].startswith("1 calls" if compiled == "no" else "2 calls")
