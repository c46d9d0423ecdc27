"""Convolutions of PyTorch of every kind against the SVD of their dense matrix, float64."""

import itertools
import math

import pytest
import torch
from oracles import dense_matrix_of, rng
from torch import nn

import cbnlib.spectra.extremes
from cbnlib import Spectrum, conv_spectrum
from cbnlib.spectra._windows import Window
from cbnlib.spectra.extremes import conv_extremes

pytestmark = pytest.mark.usefixtures("one_thread")

PLAIN = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def conv(axes, c_in, c_out, kernel_size, *, kinds=PLAIN, generator=None, **options):
    made = kinds[axes](c_in, c_out, kernel_size, bias=False, dtype=torch.float64, **options)
    with torch.no_grad():
        made.weight.normal_(generator=generator or rng())
    return made


def circular(axes, *args, **options):
    return conv(axes, *args, padding_mode="circular", **options)


def transposed(axes, *args, **options):
    return conv(axes, *args, kinds=TRANSPOSED, **options)


def dense(layer, grid):
    return dense_matrix_of(layer, layer.in_channels, grid)


EXACT = {
    "1-D": (circular(1, 2, 3, 3, stride=2, padding=1), (8,)),
    "odd": (circular(1, 2, 3, 5, stride=3, padding=1), (9,)),
    "even window": (circular(1, 3, 1, 4, stride=2, padding=1), (6,)),
    "larger than the grid": (circular(1, 2, 2, 9, padding=4), (5,)),
    "wide": (circular(1, 1, 2, 40, padding="same"), (41,)),
    "wide, groups": (circular(2, 4, 2, 7, padding="same", groups=2), (7, 8)),
    "wide, strided": (circular(1, 1, 2, 40, stride=2, padding=19), (42,)),
    "2-D": (circular(2, 2, 3, (4, 3), stride=(3, 2), padding=1), (6, 8)),
    "one axis": (circular(2, 2, 3, (1, 3), stride=(1, 3), padding=(0, 1)), (4, 9)),
    "groups": (circular(2, 4, 6, 3, stride=2, padding=1, groups=2), (4, 6)),
    "depthwise": (circular(2, 4, 4, 3, stride=2, padding=1, groups=4), (4, 6)),
    "dilation": (circular(2, 2, 2, 3, stride=2, padding=(1, 2), dilation=(1, 2)), (6, 4)),
    "3-D": (circular(3, 2, 3, 3, padding=1), (3, 4, 5)),
    "1, 2, 3": (circular(3, 2, 4, (3, 3, 4), stride=(1, 2, 3), padding=1), (3, 4, 6)),
    "1x1": (conv(2, 3, 5, 1), (4, 5)),
    "1x1, valid": (conv(2, 3, 5, 1, padding="valid"), (4, 4)),
    "1x1, strided": (conv(2, 3, 5, 1, stride=(2, 3)), (4, 6)),
    "1x1, cut": (conv(2, 3, 5, 1, stride=2), (5, 7)),
    "patches": (conv(2, 2, 20, (2, 3), stride=(2, 3), groups=2), (4, 6)),
    "patches, cut": (conv(2, 2, 3, 2, stride=3), (7, 8)),
    "up": (transposed(2, 4, 6, 2, stride=2, groups=2), (3, 4)),
    "up, more": (
        transposed(3, 2, 2, (1, 2, 2), stride=(1, 2, 3), output_padding=(0, 1, 2)),
        (3, 2, 2),
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_spectra_are_the_dense_svd(name):
    layer, grid = EXACT[name]
    spectrum = conv_spectrum(layer, grid)
    assert spectrum.kind == "exact"
    expected = torch.linalg.svdvals(dense(layer, grid))
    values = spectrum.operator_values()
    common = min(len(values), len(expected))
    tolerance = 1e-12 * float(expected[0])
    torch.testing.assert_close(values[:common], expected[:common], rtol=0, atol=tolerance)
    assert not (values[common:] > tolerance).any()
    assert not (expected[common:] > tolerance).any()
    single = conv_spectrum(layer, grid, dtype=torch.float32).values.double()
    torch.testing.assert_close(single, spectrum.values, rtol=0, atol=1e-5 * float(expected[0]))


def sharing(spectrum):
    """For every real dimension how much lies at each fine frequency: of ω and -ω the mean."""
    fine = [n * s for n, s in zip(spectrum.grid, spectrum.stride, strict=True)]
    spread = spectrum.values.new_zeros(*spectrum.values.shape, *fine)
    for (mode, member), sign in itertools.product(
        itertools.product(*map(range, spectrum.members.shape[:2])), (1, -1)
    ):
        at = (..., *(sign * spectrum.members[mode, member]).tolist())
        spread[mode][at] += spectrum.shares[mode, :, member] / 2
    repeated = spread.repeat_interleave(spectrum.multiplicity, dim=0).flatten(0, 1)
    values = spectrum.values.repeat_interleave(spectrum.multiplicity, dim=0).flatten()
    return repeated[values.sort(descending=True)[1]]


UNIQUE = ["1-D", "odd", "even window", "2-D", "groups", "depthwise", "dilation", "1, 2, 3", "3-D"]


@pytest.mark.parametrize("name", UNIQUE)
def test_shares_are_those_of_the_dense_singular_vectors(name):
    layer, grid = EXACT[name]
    spectrum = conv_spectrum(layer, grid)
    torch.testing.assert_close(spectrum.shares.sum(-1), torch.ones_like(spectrum.values))
    _, values, vh = torch.linalg.svd(dense(layer, grid), full_matrices=False)
    vectors = vh[values > 1e-6].unflatten(1, (-1, *grid))
    parts = torch.fft.fftn(vectors, dim=tuple(range(2, vectors.ndim)), norm="ortho")
    expected = parts.abs().square().sum(1)
    torch.testing.assert_close(sharing(spectrum)[: len(expected)], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in EXACT if math.prod(EXACT[name][0].stride) > 1])
def test_shares_sum_to_1_and_patches_share_like_blocks(name):
    layer, grid = EXACT[name]
    spectrum = conv_spectrum(layer, grid)
    torch.testing.assert_close(spectrum.shares.sum(-1), torch.ones_like(spectrum.values))
    window = Window(layer.weight.detach(), spectrum.grid, layer.stride, layer.dilation)
    if layer.groups == 1 and window._is_of_patches:
        values, shares = window._with_shares(torch.arange(len(spectrum.values)))
        for i in range(spectrum.values.shape[1]):
            torch.testing.assert_close(values[:, 0, i], spectrum.values[:, i])
            torch.testing.assert_close(shares[:, 0, i], spectrum.shares[:, i], rtol=0, atol=1e-10)


def test_a_transposed_convolution_is_the_adjoint():
    """With the values and shares of the convolution that reads its output."""
    up = transposed(2, 3, 2, 3, stride=2, padding=1, output_padding=1)
    down = circular(2, 2, 3, 3, stride=2, padding=1)
    down.weight = up.weight
    ours, adjoint = conv_spectrum(up, (3, 4), circular=True), conv_spectrum(down, (6, 8))
    assert (ours.kind, ours.grid, adjoint.kind) == ("approximation", (3, 4), "exact")
    torch.testing.assert_close(ours.values, adjoint.values)
    torch.testing.assert_close(ours.shares, adjoint.shares)


def draw(seed):
    """A layer of a random kind, and a grid that it can act on."""
    numbers = rng(seed)

    def pick(*among):
        return among[int(torch.randint(len(among), (1,), generator=numbers))]

    axes = pick(1, 1, 2, 2, 3)
    grid = [pick(*range(3, 8)) if axes < 3 else pick(2, 3, 4) for _ in range(axes)]
    options = {
        "kernel_size": [pick(*range(1, 5 if axes < 3 else 3)) for _ in grid],
        "stride": [pick(1, 1, 2, 3) for _ in grid],
        "dilation": [pick(1, 1, 2) for _ in grid],
        "groups": pick(1, 1, 2),
    }
    mode = pick("zeros", "zeros", "reflect", "replicate", "circular", "up")
    options["padding"] = [pick(0, 1, 2, 3) for _ in grid]
    if mode == "up":
        options["output_padding"] = [pick(*range(s)) for s in options["stride"]]
        make = transposed
    else:
        make, options["padding_mode"] = conv, mode
    return make(axes, pick(2, 4), pick(2, 4), generator=numbers, **options), tuple(grid)


def test_bounds_hold_for_every_value():
    """At least 500 layers, none of them exact; those that PyTorch refuses, too, are not counted."""
    bounds, seed, seen = 0, 0, set()
    while bounds < 500:
        seed += 1
        layer, grid = draw(seed)
        try:
            matrix = dense(layer, grid)
        except RuntimeError:
            with pytest.raises(ValueError, match="does not fit the grid's axis"):
                conv_spectrum(layer, grid)
            continue
        spectrum = conv_spectrum(layer, grid)
        seen.add((spectrum.kind, layer.padding_mode, layer.transposed))
        bounds += spectrum.kind == "bound"
        assert spectrum.upper_bound == (spectrum.kind == "bound")
        exact, values = torch.linalg.svdvals(matrix), spectrum.operator_values()
        common = min(len(exact), len(values))
        tolerance = 1e-12 * float(exact[0])
        if spectrum.kind == "exact":
            torch.testing.assert_close(
                values[:common], exact[:common], rtol=0, atol=tolerance, msg=f"{layer} on {grid}"
            )
        assert (exact[:common] <= values[:common] + tolerance).all(), (layer, grid)
        assert not (exact[common:] > tolerance).any(), (layer, grid)
        guess = conv_spectrum(layer, grid, circular=True)
        assert guess.kind == ("exact" if spectrum.kind == "exact" else "approximation")
    assert len(seen) >= 8


@pytest.mark.parametrize("by_products", [False, True], ids=["dense", "Lanczos"])
@pytest.mark.parametrize(
    ("layer", "grid"),
    [
        (conv(2, 3, 4, 3, padding=1), (7, 8)),
        (conv(2, 3, 4, 3, stride=2, padding=2, dilation=2, padding_mode="reflect"), (13, 14)),
        (conv(1, 4, 4, 4, groups=2), (40,)),
        (conv(3, 2, 3, 2, stride=(1, 2, 1), padding=1, padding_mode="replicate"), (4, 6, 5)),
        (circular(2, 3, 3, 3, stride=2, padding=1), (9, 9)),
        (transposed(2, 3, 3, 3, stride=2, padding=1, output_padding=1), (5, 6)),
    ],
    ids=str,
)
def test_extremes_are_the_dense_ones(layer, grid, by_products, monkeypatch):
    if by_products:
        monkeypatch.setattr(cbnlib.spectra.extremes, "_DENSE", 0)
    exact = torch.linalg.svdvals(dense(layer, grid))
    largest, smallest = conv_extremes(layer, grid)
    assert largest == pytest.approx(float(exact[0]), rel=1e-8)
    if by_products and exact[-1] < 1e-12 * largest:
        assert smallest is None
    else:
        expected = float(exact[exact > 1e-12 * largest][-1])
        assert smallest == pytest.approx(expected, abs=1e-8 * largest)


def test_extremes_of_exact_spectra_need_no_products():
    for layer, grid in EXACT.values():
        exact = torch.linalg.svdvals(dense(layer, grid))
        largest, smallest = conv_extremes(layer, grid)
        assert largest == pytest.approx(float(exact[0]), rel=1e-12)
        assert smallest == pytest.approx(float(exact[exact > 1e-12 * largest][-1]), rel=1e-8)


def test_a_smallest_value_that_is_0_or_not_found(monkeypatch):
    layer = conv(2, 2, 2, 3, padding=1)
    with torch.no_grad():
        layer.weight[1] = 0
    exact = torch.linalg.svdvals(dense(layer, (6, 6)))
    assert conv_extremes(layer, (6, 6)).smallest == pytest.approx(float(exact[35]), rel=1e-8)
    monkeypatch.setattr(cbnlib.spectra.extremes, "_DENSE", 0)
    assert conv_extremes(layer, (6, 6)) == (pytest.approx(float(exact[0]), rel=1e-8), None)
    nn.init.zeros_(layer.weight)
    assert conv_extremes(layer, (6, 6)) == (0, None)


def test_shares_must_fit():
    with pytest.raises(ValueError, match=r"shares must have shape \(5, 2, 3\), got \(5, 2, 2\)"):
        Spectrum((8,), torch.ones(5, 2), stride=(3,), shares=torch.ones(5, 2, 2))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_filter_of_one_pixel_is_decomposed_once(stride, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        torch.linalg, "svdvals", lambda m: sizes.append(tuple(m.shape)) or m[..., 0].abs()
    )
    assert conv_spectrum(conv(2, 64, 32, 1, stride=stride), (56, 56)).kind == "exact"
    assert sizes == [(1, 64, 32)]
