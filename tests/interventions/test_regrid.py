"""Networks whose middle moves to another grid, against crops written out; what layers cost."""

import pytest
import torch
from model_cases import parameters, random_network
from oracles import randn

from cbnlib import layer_spectrum
from cbnlib.interventions.regrid import compress, factored_multiplications, multiplications, refine
from cbnlib.interventions.surgery import keep_modes
from cbnlib.network.model import CoarseStage
from cbnlib.network.resampling import Resample
from cbnlib.spectra.bottleneck import KeptMode, kept_modes

GRIDS = [((9,), (4,)), ((8,), (5,)), ((6, 5), (3, 4)), ((4, 6), (3, 3))]
each_parametrization = pytest.mark.parametrize("parametrization", ["pixel", "spectral"])


@each_parametrization
@pytest.mark.parametrize(("grid", "coarse"), [*GRIDS, ((6,), (6,))], ids=str)
def test_a_linear_network_of_fitting_frequencies_stays_the_same(grid, coarse, parametrization):
    """Without ReLUs, crop and blocks commute: only what the crop removes is lost."""
    config = {"grid": grid, "depth": 4, "nonlinearity": "none", "parametrization": parametrization}
    model = random_network(**config)
    small = compress(model, (2, 3), coarse)
    assert small.config.coarse == CoarseStage(coarse, 2, 3)
    x = randn(5, 1, *grid)
    down, up = Resample(grid, coarse, "crop"), Resample(grid, coarse, "crop", adjoint=True)
    signal = x
    for conv in model.convs[:3]:
        signal = up(down(conv(signal)))
    torch.testing.assert_close(small(x), model.convs[3](signal))


def test_a_compressed_relu_network_is_the_one_with_a_coarse_stage():
    """On the same grid, with nothing but zeros at the frequency that a crop removes: no change."""
    model = random_network(grid=(5, 5), depth=4)
    same = compress(model, (2, 3), (5, 5))
    x = randn(4, 1, 5, 5)
    torch.testing.assert_close(same(x), model(x))


def test_norm_of_kept_blocks_does_not_change():
    model = random_network(grid=(8, 6), depth=4)
    modes = kept_modes(layer_spectrum(model.convs[1]), 0)
    kept = keep_modes(model, [2, 3], [mode for mode in modes if max(map(abs, mode.omega)) < 2])
    small = compress(kept, (2, 3), (3, 3))
    torch.testing.assert_close(small.parameter_norm(), kept.parameter_norm())


@each_parametrization
@pytest.mark.parametrize(("grid", "coarse"), GRIDS, ids=str)
def test_a_refined_linear_network_is_the_same_function(grid, coarse, parametrization):
    config = {"grid": grid, "depth": 4, "coarse": CoarseStage(coarse, 2, 3)}
    config |= {"parametrization": parametrization}
    model = random_network(nonlinearity="none", **config)
    fine = refine(model)
    assert [conv.grid for conv in fine.convs] == [grid] * 4
    x = randn(5, 1, *grid)
    torch.testing.assert_close(fine(x), model(x))
    with_relu = random_network(**config)
    assert (refine(with_relu)(x) - with_relu(x)).abs().max() > 1e-3


def test_refining_undoes_compressing_where_everything_fits():
    model = random_network(grid=(7, 6), depth=4)
    small = compress(model, (2, 3), (3, 5))
    again = compress(refine(small), (2, 3), (3, 5))
    torch.testing.assert_close(parameters(again), parameters(small))
    torch.testing.assert_close(refine(small).parameter_norm(), small.parameter_norm())


def test_multiplications_fall_with_the_grid():
    model = random_network(grid=(8, 8), depth=4)
    full = multiplications(model, [2, 3])
    assert full == 2 * 9 * (4 * 1 + 30 * 4)
    assert multiplications(compress(model, (2, 3), (3, 3)), [2, 3]) == 2 * 9 * (1 + 4 * 4)


def test_factors_take_as_many_products_as_their_entries():
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
