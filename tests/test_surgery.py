"""Surgery against dense algebra: what is left of a layer, what a compressed network computes."""

from typing import Any

import pytest
import torch
from model_cases import random_network
from oracles import GRIDS, dense_matrix, rng

from cbnlib import layer_spectrum
from cbnlib.bottleneck import KeptMode, kept_modes
from cbnlib.frequencies import frequencies
from cbnlib.model import CoarseStage
from cbnlib.resampling import Resample
from cbnlib.surgery import (
    compress,
    factored_multiplications,
    keep_modes,
    mode_mask,
    multiplications,
    output_from,
    random_mask,
    refine,
    remove_modes,
    second_directions,
    unread_share,
    with_directions,
)

PARAMETRIZATIONS = ["pixel", "spectral"]


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_mask_leaves_these_singular_values_and_their_directions(
    grid: Any, parametrization: Any
) -> None:
    model = random_network(grid=grid, parametrization=parametrization)
    before = layer_spectrum(model.convs[1])
    mask = torch.rand(before.values.shape, generator=rng()) < 0.5
    changed = with_directions(model, {2: mask})
    left = before.values * mask
    torch.testing.assert_close(
        layer_spectrum(changed.convs[1]).values, left.sort(dim=1, descending=True)[0]
    )
    # Nothing else changed: the rest of the operator is orthogonal to what is left.
    for i in (0, 2):
        torch.testing.assert_close(changed.convs[i].blocks(), model.convs[i].blocks())
    kept, whole = changed.convs[1].blocks(), model.convs[1].blocks()
    inner = ((whole - kept).conj() * kept).sum(dim=(0, 1)).flatten() * frequencies(grid).weight
    torch.testing.assert_close(inner.real.sum(), torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize("grid", [(6,), (3, 4)], ids=str)
def test_kept_and_removed_modes_add_up_to_the_layer(grid: Any) -> None:
    model = random_network(grid=grid)
    modes = kept_modes(layer_spectrum(model.convs[1]), 1.2)
    assert 0 < sum(mode.directions for mode in modes) < frequencies(grid).modes.numel() * 3
    kept, rest = (dense(surgeon(model, [2], modes)) for surgeon in (keep_modes, remove_modes))
    torch.testing.assert_close(kept + rest, dense(model))
    torch.testing.assert_close(kept.T @ rest, torch.zeros_like(kept))
    assert int(torch.linalg.matrix_rank(kept)) == sum(mode.real_dimensions for mode in modes)


def dense(model: Any) -> torch.Tensor:
    """The second layer, a matrix from its pixels: `spectral` weights would be no filter."""
    return dense_matrix(model.convs[1])


def test_the_original_stays() -> None:
    model = random_network(grid=(5,))
    before = [p.clone() for p in model.parameters()]
    keep_modes(model, [1, 2, 3], [])
    compress(model, (2, 2), 3)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_random_masks_have_the_wanted_dimensions_and_hold_candidates_only() -> None:
    candidates = torch.tensor([[True, True], [False, True], [True, True], [False, False]])
    multiplicity = torch.tensor([1, 2, 2, 1])
    for seed in range(20):
        drawn = random_mask(candidates, multiplicity, 4, rng(seed))
        assert not (drawn & ~candidates).any()
        assert int((drawn.sum(dim=1) * multiplicity).sum()) in (4, 5)
    everything = random_mask(candidates, multiplicity, 8, rng())
    assert torch.equal(everything, candidates)
    with pytest.raises(ValueError, match="9 real dimensions wanted, 8 there"):
        random_mask(candidates, multiplicity, 9, rng())


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
@pytest.mark.parametrize(
    ("grid", "coarse"), [((9,), 4), ((8,), 5), ((6,), 6), ((6, 5), (3, 4)), ((4, 6), 3)], ids=str
)
def test_a_linear_network_of_fitting_frequencies_stays_the_same(
    grid: Any, coarse: Any, parametrization: Any
) -> None:
    """Without ReLUs, crop and blocks commute: only what the crop removes is lost."""
    config = {"grid": grid, "depth": 4, "nonlinearity": "none", "parametrization": parametrization}
    model = random_network(**config)
    small = compress(model, (2, 3), (coarse,) * len(grid) if isinstance(coarse, int) else coarse)
    assert small.config.coarse == CoarseStage(small.convs[1].grid, 2, 3)
    x = torch.randn(5, 1, *grid, dtype=torch.float64, generator=rng())
    down = Resample(grid, small.convs[1].grid, "crop")
    up = Resample(grid, small.convs[1].grid, "crop", adjoint=True)
    first, middle, last = model.convs[0], model.convs[1:3], model.convs[3]
    signal = up(down(first(x)))
    for conv in middle:
        signal = up(down(conv(signal)))
    torch.testing.assert_close(small(x), last(signal))


def test_a_compressed_relu_network_is_the_one_with_a_coarse_stage() -> None:
    """On the same grid, with nothing but zeros at the frequency that a crop removes: no change."""
    model = random_network(grid=(5, 5), depth=4)
    same = compress(model, (2, 3), (5, 5))
    x = torch.randn(4, 1, 5, 5, dtype=torch.float64, generator=rng())
    torch.testing.assert_close(same(x), model(x))


def test_norm_of_kept_blocks_does_not_change() -> None:
    model = random_network(grid=(8, 6), depth=4)
    low = [
        mode
        for mode in kept_modes(layer_spectrum(model.convs[1]), 0)
        if all(abs(entry) < 2 for entry in mode.omega)
    ]
    kept = keep_modes(model, [2, 3], low)
    small = compress(kept, (2, 3), (3, 3))
    torch.testing.assert_close(small.parameter_norm(), kept.parameter_norm())


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
@pytest.mark.parametrize(
    ("grid", "coarse"), [((9,), 4), ((8,), 5), ((6, 5), (3, 4)), ((4, 6), 3)], ids=str
)
def test_a_refined_linear_network_is_the_same_function(
    grid: Any, coarse: Any, parametrization: Any
) -> None:
    stage = CoarseStage((coarse,) * len(grid) if isinstance(coarse, int) else coarse, 2, 3)
    config = {"grid": grid, "depth": 4, "coarse": stage, "parametrization": parametrization}
    model = random_network(nonlinearity="none", **config)
    fine = refine(model)
    assert [conv.grid for conv in fine.convs] == [grid] * 4
    x = torch.randn(5, 1, *grid, dtype=torch.float64, generator=rng())
    torch.testing.assert_close(fine(x), model(x))
    with_relu = random_network(**config)
    assert (refine(with_relu)(x) - with_relu(x)).abs().max() > 1e-3


def test_refining_undoes_compressing_where_everything_fits() -> None:
    model = random_network(grid=(7, 6), depth=4)
    small = compress(model, (2, 3), (3, 5))
    again = compress(refine(small), (2, 3), (3, 5))
    for ours, theirs in zip(again.parameters(), small.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(refine(small).parameter_norm(), small.parameter_norm())


def test_multiplications_fall_with_the_grid() -> None:
    model = random_network(grid=(8, 8), depth=4)
    full = multiplications(model, [2, 3])
    assert full == 2 * 9 * (4 * 1 + 30 * 4)
    assert multiplications(compress(model, (2, 3), (3, 3)), [2, 3]) == 2 * 9 * (1 + 4 * 4)


@pytest.mark.parametrize("grid", [(6,), (5,), (3, 4)], ids=str)
def test_the_layers_behind_go_on_where_the_network_was(grid: Any) -> None:
    model = compress(random_network(grid=grid, depth=4), (2, 3), (3,) * len(grid))
    x = torch.randn(3, 1, *grid, dtype=torch.float64, generator=rng())
    outputs = model.pre_activations(x)
    for layer in (1, 2, 3):
        got = output_from(model, layer, outputs[layer - 1].relu())
        torch.testing.assert_close(got, outputs[-1])
    with pytest.raises(ValueError, match="from layer 4 to the output"):
        output_from(model, 4, outputs[-1])
    pooled = random_network(grid=grid, head="pooling")
    with pytest.raises(ValueError, match="from layer 1 to the output"):
        output_from(pooled, 1, outputs[0])


@pytest.mark.parametrize("grid", [(6,), (3, 4), (4, 6)], ids=str)
def test_what_kept_directions_do_not_read_is_in_the_kernel_of_the_cut_layer(grid: Any) -> None:
    model = random_network(grid=grid)
    modes = kept_modes(layer_spectrum(model.convs[1]), 1.2)
    matrix = dense(keep_modes(model, [2], modes))
    onto = torch.linalg.pinv(matrix, rtol=1e-10) @ matrix  # the orthogonal projection
    x = torch.randn(4, 3, *grid, dtype=torch.float64, generator=rng())
    flat = x.flatten(1)
    expected = 1 - float((flat @ onto).square().sum() / flat.square().sum())
    assert 0.1 < expected < 0.9
    assert unread_share(model.convs[1], modes, x) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("grid", [(6,), (3, 4)], ids=str)
def test_every_direction_is_kept_or_second_or_at_another_frequency(grid: Any) -> None:
    spectrum = layer_spectrum(random_network(grid=grid).convs[1])
    modes = kept_modes(spectrum, 1.2)
    kept, second = mode_mask(spectrum, modes), second_directions(spectrum, modes)
    omega = [mode.omega for mode in modes]
    at_kept = torch.tensor([tuple(w) in omega for w in spectrum.omega.tolist()])
    assert not (kept & second).any()
    assert torch.equal(kept | second, at_kept.unsqueeze(1).expand_as(kept))


def test_factors_take_as_many_products_as_their_entries() -> None:
    model = random_network(grid=(7,), depth=4)  # 3 channels, 1 at the ends
    modes = [KeptMode((0,), 1, 2), KeptMode((2,), 2, 1)]
    cut = keep_modes(model, [2], modes)
    count = 0
    for block, m in zip(cut.convs[1].blocks().movedim(-1, 0), (1, 2, 2, 2), strict=True):
        rank = int(torch.linalg.matrix_rank(block, tol=1e-9))
        count += m**2 * min(sum(block.shape) * rank, block.numel() if rank else 0)
    assert factored_multiplications(cut, [2], modes) == count == 9 + 4 * 6
    assert factored_multiplications(cut, [1, 2], modes) == count + 3 + 4 * 3
    assert factored_multiplications(cut, [2], modes) < multiplications(cut, [2])


def test_what_does_not_fit_is_refused() -> None:
    model = random_network(grid=(6,))
    spectrum = layer_spectrum(model.convs[1])
    with pytest.raises(ValueError, match=r"no mode \(7,\) on the grid \(6,\)"):
        mode_mask(spectrum, [KeptMode((7,), 2, 1)])
    with pytest.raises(ValueError, match="mode ±1×4 of a layer with 3 directions"):
        mode_mask(spectrum, [KeptMode((1,), 2, 4)])
    with pytest.raises(ValueError, match="layer must be <= 3, got 4"):
        keep_modes(model, [4], [])
    with pytest.raises(ValueError, match=r"a mask of shape \(2, 2\) for values \(4, 3\)"):
        with_directions(model, {2: torch.ones(2, 2, dtype=torch.bool)})
    with pytest.raises(ValueError, match="full-size filters"):
        compress(random_network(grid=(6,), window=3), (2, 2), 3)
    with pytest.raises(ValueError, match="on one grid"):
        compress(compress(model, (2, 2), 3), (2, 2), 3)
    with pytest.raises(ValueError, match="must not exceed"):
        compress(model, (2, 2), 7)
    for network in (model, random_network(coarse=CoarseStage(3, 2, 2, "stride"), grid=(6,))):
        with pytest.raises(ValueError, match="can be refined"):
            refine(network)
