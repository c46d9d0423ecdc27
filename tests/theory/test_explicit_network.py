"""S3: explicit networks equal their targets, and their norm is depth times rank plus O(1)."""

import itertools
import math

import pytest
import torch
from oracles import randn, rng

from cbnlib.spectra.convolutions import weight_spectra
from cbnlib.theory.explicit_network import bottleneck_network, cbn_rank
from cbnlib.theory.scales import bias_scales, signal_scales

CASES = {
    "P_{±1}": ([[-1, 1]], 16),
    "constant and ±1": ([[0, 1, -1]], 9),
    "Nyquist": ([[4]], 8),
    "four channels": ([[1, -1], [0], [2, -2, 3, -3], []], 7),
    "all": ([range(6)], 6),
    "2-D": ([[(2, 1), (2, -1)], [(0, 0), (1, 0), (-1, 0)]], (4, 4)),
    "2-D odd": ([[(1, 2), (-1, -2)], [(0, 1), (0, -1)]], (3, 5)),
}
MANY = pytest.mark.parametrize("case", CASES)
M = 1.5


def project(x, supports, grid):
    """P_I channel by channel, from the definition of the Fourier coefficients."""
    sizes = (grid,) if isinstance(grid, int) else grid
    points = torch.tensor(list(itertools.product(*map(range, sizes))), dtype=torch.float64)
    kept = torch.zeros_like(x)
    for channel, support in enumerate(supports):
        for omega in support:
            vector = torch.tensor([omega], dtype=torch.float64).flatten()
            phase = 2 * math.pi * (points / torch.tensor(sizes)) @ vector
            wave = torch.polar(torch.ones_like(phase), phase) / len(phase) ** 0.5
            signal = x[:, channel].flatten(1).to(wave.dtype)
            kept[:, channel] += ((signal @ wave.conj())[:, None] * wave).real.view_as(x[:, 0])
    return kept


def on_the_domain(supports, grid):
    """Inputs, some of them on the boundary of the domain, and their projections."""
    sizes = (grid,) if isinstance(grid, int) else grid
    x = randn(50, len(supports), *sizes)
    z = project(x, supports, grid)
    largest = z.abs().flatten(2).amax(dim=2).clamp_min(1e-3)
    scale = (M / largest).reshape(*largest.shape, *(1 for _ in sizes))
    scale[25:] *= torch.rand(25, 1, *(1 for _ in sizes), dtype=torch.float64, generator=rng(1))
    return x * scale, z * scale


@pytest.mark.parametrize("relu_output", [False, True])
@pytest.mark.parametrize("L", [2, 3, 8, 32, 128])
@MANY
def test_network_equals_its_target(case, L, relu_output):
    supports, grid = CASES[case]
    x, z = on_the_domain(supports, grid)
    model = bottleneck_network(supports, grid, L, M, relu_output=relu_output)
    expected = z.relu() if relu_output else z
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-9)


def test_one_layer_is_the_projection():
    x, z = on_the_domain(*CASES["four channels"])
    model = bottleneck_network(*CASES["four channels"], 1, M)
    torch.testing.assert_close(model(x), z, rtol=0, atol=1e-12)
    assert float(model.parameter_norm().detach()) == pytest.approx(7)


def test_outside_its_domain_the_relus_cut():
    x, z = on_the_domain([[-1, 1]], 16)
    model = bottleneck_network([[-1, 1]], 16, 8, M)
    assert (model(1.1 * x[:25]) - 1.1 * z[:25]).abs().max() > 1e-2


@pytest.mark.parametrize("relu_output", [False, True])
@MANY
def test_norm_is_depth_times_rank_plus_a_constant(case, relu_output):
    supports, grid = CASES[case]
    rank = cbn_rank(supports, grid)
    depths = [8, 16, 32, 64, 128, 256, 512]
    networks = [bottleneck_network(supports, grid, L, M, relu_output=relu_output) for L in depths]
    excess = [float(net.parameter_norm().detach()) - net.config.depth * rank for net in networks]
    no_log = [e - 2 * rank * math.log(L) for e, L in zip(excess, depths, strict=True)]
    assert all(after < before for before, after in itertools.pairwise(no_log[3:]))
    # Stronger than a logarithm: the excess itself converges, each doubling adding about half.
    steps = [after - before for before, after in itertools.pairwise(excess[3:])]
    assert all(abs(after) < 0.7 * abs(before) + 1e-6 for before, after in itertools.pairwise(steps))


def test_no_dearer_than_the_explicit_costs_of_the_book():
    costs = {6: 24.31, 8: 29.67, 12: 40.45, 16: 50.22}
    for L, cost in costs.items():
        assert bottleneck_network([[-1, 1]], 16, L, 1.4).parameter_norm() < cost


def test_the_constant_is_let_go_in_the_middle_of_a_deep_network():
    spectra = weight_spectra(bottleneck_network([[-1, 1]], 16, 128, M))
    assert spectra[125].values[0] > 0.6
    assert spectra[64].values[0] < 0.02
    torch.testing.assert_close(spectra[64].values[1], torch.ones(1).double(), rtol=0.01, atol=0)


def cost(squares, rank, energy):
    """What bias_scales minimises, over the squares of all scales."""
    constant = energy * squares[1:-1]
    carried = torch.cat([constant.new_zeros(1), constant[:-1]])
    return rank * (squares[1:] / squares[:-1]).sum() + (constant / (1 + carried)).sum()


@pytest.mark.parametrize("energy", [0.1, 1.0, 36.0, 5000.0])
@pytest.mark.parametrize("L", [2, 3, 8, 40])
def test_bias_scales_are_a_minimum(L, energy):
    log = bias_scales(2, energy, L)[1:-1].log().mul(2).requires_grad_()
    ends = torch.zeros(1, dtype=torch.float64)
    total = cost(torch.cat([ends, log, ends]).exp(), 2, energy)
    (gradient,) = torch.autograd.grad(total, log)
    assert gradient.abs().max() < 1e-6 * total
    index = torch.arange(L + 1, dtype=torch.float64)
    rule = 1 / torch.minimum(index + 1, L + 1 - index)  # falls and rises like 1/j
    for other in (rule, torch.ones(L + 1, dtype=torch.float64)):
        assert total <= cost(other.square(), 2, energy) * (1 + 1e-12)


@pytest.mark.parametrize("L", [1, 2, 9])
def test_signal_scales_are_the_minimum(L):
    log = signal_scales(3, 20.0, L)[1:-1].log().mul(2).requires_grad_()
    ends = torch.zeros(1, dtype=torch.float64)
    squares = torch.cat([ends, log, ends]).exp()
    total = 3 * (squares[1:] / squares[:-1]).sum() + 20 * squares[1]
    (gradient,) = torch.autograd.grad(total, log)
    assert (gradient.abs() < 1e-12).all()


def test_cbn_rank_counts_real_dimensions():
    assert cbn_rank([[0], [1, -1], [8], []], 16) == 1 + 2 + 1
    assert cbn_rank([[1, 15, -1, 17]], 16) == 2  # mod n
    assert cbn_rank([[(2, 2)], [(2, 1), (2, 3)]], (4, 4)) == 1 + 2
    assert cbn_rank([torch.tensor([[1, 0], [-1, 0]])], (4, 4)) == 2
