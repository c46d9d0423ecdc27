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
    assert {name: (s.kind, s.grid, s.stride) for name, s in spectra.items()} == {
        "stem.0": ("bound", (14, 10), (1, 1)),
        "shared (call 1)": ("bound", (14, 10), (1, 1)),
        "shared (call 2)": ("bound", (8, 6), (1, 1)),
        "down": ("bound", (7, 5), (2, 2)),
        "deep": ("bound", (8, 6), (1, 1)),
        "up": ("exact", (6, 4), (2, 2)),
    }
    expected = conv_spectrum(model.deep, (6, 4))
    torch.testing.assert_close(spectra["deep"].values, expected.values)
    assert left_out == {"unused": "not called in this pass"}


def test_approximations_are_on_the_own_grid(model):
    spectra, _ = module_spectra(model, torch.zeros(1, 1, 12, 8), circular=True)
    assert (spectra["down"].kind, spectra["down"].grid) == ("approximation", (6, 4))
    expected = conv_spectrum(model.down, (12, 8), circular=True)
    torch.testing.assert_close(spectra["down"].shares, expected.shares)


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


def test_what_others_attached_stays():
    model = nn.Sequential(*(nn.Conv1d(1, 1, 3, padding=1) for _ in range(3)))
    model[1].register_forward_hook(lambda _, __, output: 3 * output)
    nn.utils.parametrizations.spectral_norm(model[2])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    spectra, left_out = module_spectra(model, torch.randn(1, 1, 8))
    assert list(spectra) == ["0", "2"]
    assert list(left_out) == ["1"]
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


def test_padding_before_a_convolution_is_no_part_of_it():
    model = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(1, 2, 2, stride=2))
    spectra, left_out = module_spectra(model, torch.zeros(1, 1, 6, 8))
    assert not left_out
    assert (spectra["1"].kind, spectra["1"].grid) == ("exact", (4, 5))
    expected = conv_spectrum(model[1], (8, 10))
    torch.testing.assert_close(spectra["1"].values, expected.values)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3, stride=2, bias=False)
        self.norm = nn.BatchNorm1d(4)
        self.filters = nn.Parameter(torch.randn(4, 1, 3))

    def forward(self, x):
        y = functional.conv1d(x, self.filters, padding=1)
        return self.norm(self.conv(x)), functional.conv1d(y[:, :1], 2 * self.filters)


@pytest.mark.filterwarnings("ignore:`torch.jit.* is (deprecated|not supported):DeprecationWarning")
@pytest.mark.parametrize("compiled", ["no", "script", "trace"])
def test_convolutions_of_no_module_are_called_by_their_weight(compiled):
    model, x = Functional().eval(), torch.zeros(1, 1, 8)
    with torch.no_grad():
        model.norm.running_var.copy_(torch.arange(1.0, 5.0))
    expected, _ = module_spectra(model, x)
    if compiled == "script":
        model = torch.jit.script(model)
    if compiled == "trace":
        model = torch.jit.trace(model, x)
    spectra, left_out = module_spectra(model, x)
    second = "convolution 2" if compiled == "no" else "convolution 3"
    assert set(spectra) == {"conv", "filters", second}
    assert not left_out
    for name in ("conv", "filters"):
        torch.testing.assert_close(spectra[name].values, expected[name].values)
