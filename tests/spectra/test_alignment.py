"""The energy in a layer's modes, against singular vectors of dense matrices."""

import pytest
import torch
from model_cases import random_network
from oracles import dense_matrix_of, randn
from torch import nn
from torch.nn import functional

from cbnlib import alignment
from cbnlib.spectra.modules import module_spectra


def conv(kind=nn.Conv2d, c_in=4, c_out=2, kernel_size=3, **options):
    torch.manual_seed(1)
    return kind(c_in, c_out, kernel_size, **options).double()


circular = {"padding": 1, "padding_mode": "circular"}
EXACT = {
    "circular": (conv(**circular), (4, 5)),
    "strided": (conv(stride=2, **circular), (6, 4)),
    "strides": (conv(nn.Conv3d, 2, 3, stride=(1, 2, 3), **circular), (3, 4, 6)),
    "groups": (conv(c_out=4, groups=2, stride=2, **circular), (4, 4)),
    "dilated": (conv(nn.Conv1d, dilation=2, padding=2, padding_mode="circular"), (9,)),
    "patches": (conv(kernel_size=2, stride=2), (4, 6)),
    "patches transposed": (conv(nn.ConvTranspose2d, c_out=3, kernel_size=2, stride=2), (3, 4)),
    "groups transposed": (conv(nn.ConvTranspose1d, kernel_size=2, stride=2, groups=2), (5,)),
    "batch norm": (nn.Sequential(conv(**circular), nn.BatchNorm2d(2).double()), (4, 4)),
}
for values in EXACT["batch norm"][0][1].state_dict().values():
    if values.ndim:
        values.copy_(torch.tensor([0.5, 3.0]))


def share(matrix, x, k):
    """Of the energy of the signals, in the first k right singular directions."""
    vh = torch.linalg.svd(matrix).Vh[:k]
    return float((x.flatten(1) @ vh.mT).square().sum() / x.square().sum())


def assert_is_share(found, matrix, x):
    """At every threshold between two values that differ."""
    values = found.spectrum.operator_values()
    cuts = [k for k in range(1, len(values)) if values[k - 1] > values[k] + 1e-9]
    assert cuts
    for k in cuts:
        threshold = float(values[k - 1] + values[k]) / 2
        assert found.kept(threshold) == pytest.approx(share(matrix, x, k), abs=1e-10)
        part = (k + 0.5) / len(values)
        assert found.strongest(part) == pytest.approx(share(matrix, x, k), abs=1e-10)
    everything = share(matrix, x, len(values))
    assert float(found.shares.sum()) == pytest.approx(everything, abs=1e-10)


@pytest.mark.parametrize("name", EXACT)
def test_exact_layers(name):
    model, grid = EXACT[name]
    model.eval()
    layer = model[0] if isinstance(model, nn.Sequential) else model
    x = randn(7, layer.in_channels, *grid) + 0.3
    (found,) = alignment(model, x.split(3))
    assert found.spectrum.kind == "exact"
    assert_is_share(found, dense_matrix_of(model, layer.in_channels, grid), x)


def around(x, k):
    """The circular convolution's pixels after the end."""
    return functional.pad(x, (0, k), mode="circular")


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_padded_layers_act_on_the_larger_grid(mode):
    layer, x = conv(nn.Conv1d, stride=2, padding=2, padding_mode=mode), randn(5, 4, 7) + 0.3
    (found,) = alignment(layer, x)
    assert (found.spectrum.kind, found.spectrum.grid) == ("bound", (6,))
    padded = functional.pad(x, (2, 2), mode="constant" if mode == "zeros" else mode)
    embedded = functional.pad(padded, (0, 1))  # 12 pixels, two per pixel of the coarser grid

    def on_the_circle(z):
        return functional.conv1d(around(z, 2), layer.weight, stride=2)

    found.spectrum.values.div_(1 if mode == "zeros" else 2**0.5)  # the norm of the padding
    assert_is_share(found, dense_matrix_of(on_the_circle, 4, (12,)), embedded)


def test_transposed_layers_act_on_the_larger_grid():
    layer, x = conv(nn.ConvTranspose1d, c_out=3, stride=2, padding=1), randn(5, 4, 5) + 0.3
    (found,) = alignment(layer, x)
    assert (found.spectrum.kind, found.spectrum.grid) == ("bound", (6,))

    def adjoint(z):  # a convolution of 12 pixels, of which every second is kept
        return functional.conv1d(around(z, 2), layer.weight, stride=2)

    matrix = dense_matrix_of(adjoint, 3, (12,)).mT
    assert_is_share(found, matrix, functional.pad(x, (0, 1)))


def test_our_own_network():
    model, x = random_network(grid=(4, 3)), randn(9, 1, 4, 3)
    found = alignment(model, x)
    inputs, _ = model.activations(x)
    for one, layer, received in zip(found, model.convs, inputs, strict=True):
        matrix = dense_matrix_of(layer, layer.c_in, (4, 3))
        assert_is_share(one, matrix, received.detach())


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.twice, self.own = conv(c_out=4, **circular), Own(4, 4, 3, padding=1).double()

    def forward(self, x):
        return self.own(self.twice(self.twice(x)))


class Own(nn.Conv2d):
    def forward(self, x):
        return super().forward(2 * x)


def test_each_call_and_what_is_left_out():
    model, x = Shared(), randn(6, 4, 4, 4)
    found = alignment(model, x.split(4))
    assert [one.name for one in found] == ["twice (call 1)", "twice (call 2)"]
    assert found.left_out == {"own": "this module changes what goes into its convolution"}
    matrix = dense_matrix_of(model.twice, 4, (4, 4))
    assert_is_share(found[1], matrix, model.twice(x).detach())
    torch.testing.assert_close(found[0].spectrum.values, found[1].spectrum.values)


def test_the_spectrum_is_the_layer_s():
    model, x = conv(padding=1), randn(3, 4, 5, 4)
    (found,) = alignment(model, x)
    expected = module_spectra(model, x)[0][""]
    torch.testing.assert_close(found.spectrum.values, expected.values)
    assert (found.spectrum.kind, found.shares.shape) == ("bound", expected.values.shape)


def test_nothing_received():
    (found,) = alignment(conv(**circular), torch.zeros(2, 4, 4, 4).double())
    assert found.kept() == 0


def test_other_sizes_than_in_the_first_batch():
    model = conv(**circular)
    found = alignment(model, [randn(2, 4, 4, 4), randn(2, 4, 6, 4)])
    assert [one.spectrum.grid for one in found] == [(4, 4)]
    assert found.left_out == {" (call 1)": "this call differs from the first batch's"}


def test_bad_arguments():
    with pytest.raises(TypeError, match="layer '1' must be a convolution, got ReLU"):
        alignment(nn.Sequential(conv(), nn.ReLU()), randn(1, 4, 4, 4), layers=["1"])
    with pytest.raises(ValueError, match="the loader has no batch"):
        alignment(conv(), [])


@pytest.mark.parametrize("part", [-0.1, float("nan")])
def test_a_part_that_is_none(part):
    (found,) = alignment(conv(**circular), [randn(2, 4, 4, 4)])
    with pytest.raises(ValueError, match="part must be"):
        found.strongest(part)
