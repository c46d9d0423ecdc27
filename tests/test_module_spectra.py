"""Spectra of all convolutions of a network that was not made here."""

import pytest
import torch
from torch import Tensor, nn

from cbnlib.torch_convs import conv_spectrum, module_spectra


class Small(nn.Module):
    """Layers of every kind that may occur, one on two grids, one never used."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.shared = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.down = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(6, 6, 3, padding=1)
        self.dropout = nn.Dropout()
        self.up = nn.ConvTranspose2d(6, 1, 2, stride=2)
        self.unused = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.shared(self.stem(x))
        self.shared(h[..., ::2, ::2])
        out: Tensor = self.up(self.dropout(self.deep(self.down(h))))
        return out


@pytest.fixture
def model() -> Small:
    torch.manual_seed(0)
    return Small().train()


def test_each_convolution_on_its_own_grid(model: Small) -> None:
    spectra, left_out = module_spectra(model, torch.zeros(1, 1, 12, 8))
    assert list(spectra) == ["stem.0", "deep"]
    assert [spectrum.grid for spectrum in spectra.values()] == [(12, 8), (6, 4)]
    expected = conv_spectrum(model.deep, (6, 4))
    torch.testing.assert_close(spectra["deep"].values, expected.values)
    assert left_out == {
        "shared": "acts on 2 grids: [(6, 4), (12, 8)]",
        "down": "only stride 1 is supported, got stride (2, 2)",
        "up": "need a torch.nn.Conv1d or Conv2d, got ConvTranspose2d",
        "unused": "acts on 0 grids: []",
    }


def test_the_network_is_left_as_it_was(model: Small) -> None:
    model.dropout.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    module_spectra(model, torch.randn(2, 1, 8, 8))
    assert model.training
    assert not model.dropout.training
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_hooks_are_gone_after_an_input_that_does_not_fit(model: Small) -> None:
    with pytest.raises(RuntimeError):
        module_spectra(model, torch.zeros(1, 3, 8, 8))
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_weights_must_be_numbers(model: Small) -> None:
    nn.init.constant_(model.deep.weight, torch.nan)
    with pytest.raises(ValueError, match="NaN"):
        module_spectra(model, torch.zeros(1, 1, 8, 8))
