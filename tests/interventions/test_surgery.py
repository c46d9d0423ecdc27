"""Surgery against dense algebra: what is left of a layer, and what it does."""

import pytest
import torch
from model_cases import parameters, random_network
from oracles import GRIDS, dense_matrix, randn, rng

from cbnlib import frequencies, layer_spectrum
from cbnlib.interventions.regrid import compress
from cbnlib.interventions.surgery import (
    keep_modes,
    mode_mask,
    random_mask,
    remove_modes,
    second_directions,
    unread_share,
    with_directions,
)
from cbnlib.spectra.bottleneck import kept_modes


@pytest.mark.parametrize("parametrization", ["pixel", "spectral"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_mask_leaves_these_singular_values_and_their_directions(grid, parametrization):
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
def test_kept_and_removed_modes_add_up_to_the_layer(grid):
    model, modes = network_and_modes(grid)
    assert 0 < sum(mode.directions for mode in modes) < frequencies(grid).modes.numel() * 3
    kept, rest = (dense(surgeon(model, [2], modes)) for surgeon in (keep_modes, remove_modes))
    torch.testing.assert_close(kept + rest, dense(model))
    torch.testing.assert_close(kept.T @ rest, torch.zeros_like(kept))
    assert int(torch.linalg.matrix_rank(kept)) == sum(mode.real_dimensions for mode in modes)


def network_and_modes(grid):
    """A network, and some of the modes of its second layer."""
    model = random_network(grid=grid)
    return model, kept_modes(layer_spectrum(model.convs[1]), 1.2)


def dense(model):
    """The second layer, a matrix from its pixels: `spectral` weights would be no filter."""
    return dense_matrix(model.convs[1])


def test_the_original_stays():
    model = random_network(grid=(5,))
    before = parameters(model)
    keep_modes(model, [1, 2, 3], [])
    compress(model, (2, 2), 3)
    assert torch.equal(parameters(model), before)


def test_random_masks_have_the_wanted_dimensions_and_hold_candidates_only():
    candidates = torch.tensor([[True, True], [False, True], [True, True], [False, False]])
    multiplicity = torch.tensor([1, 2, 2, 1])
    for seed in range(20):
        drawn = random_mask(candidates, multiplicity, 4, rng(seed))
        assert not (drawn & ~candidates).any()
        assert int((drawn.sum(dim=1) * multiplicity).sum()) in (4, 5)
    everything = random_mask(candidates, multiplicity, 8, rng())
    assert torch.equal(everything, candidates)


@pytest.mark.parametrize("grid", [(6,), (3, 4), (4, 6)], ids=str)
def test_what_kept_directions_do_not_read_is_in_the_kernel_of_the_cut_layer(grid):
    model, modes = network_and_modes(grid)
    matrix = dense(keep_modes(model, [2], modes))
    onto = torch.linalg.pinv(matrix, rtol=1e-10) @ matrix  # the orthogonal projection
    x = randn(4, 3, *grid)
    flat = x.flatten(1)
    expected = 1 - float((flat @ onto).square().sum() / flat.square().sum())
    assert 0.1 < expected < 0.9
    assert unread_share(model.convs[1], modes, x) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("grid", [(6,), (3, 4)], ids=str)
def test_every_direction_is_kept_or_second_or_at_another_frequency(grid):
    model, modes = network_and_modes(grid)
    spectrum = layer_spectrum(model.convs[1])
    kept, second = mode_mask(spectrum, modes), second_directions(spectrum, modes)
    omega = [mode.omega for mode in modes]
    at_kept = torch.tensor([tuple(w) in omega for w in spectrum.omega.tolist()])
    assert not (kept & second).any()
    assert torch.equal(kept | second, at_kept.unsqueeze(1).expand_as(kept))
