"""Counting, against the frequencies of the whole grid enumerated one by one."""

import pytest
import torch
from oracles import GRIDS as PLANE
from oracles import pixels

from cbnlib import frequencies
from cbnlib.network.real_dft import FOLDED_FROM, coordinates_to_blocks, real_dft

GRIDS = [*PLANE, (3, 4, 2), (4, 3, 5), (4, 4, 4), (2, 1, 4)]


def signed(k, n):
    return k if k <= n // 2 else k - n


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_modes_list_every_frequency_of_the_grid_once(grid):
    f = frequencies(grid)
    listed = []
    for omega, count in zip(f.omega.tolist(), f.multiplicity.tolist(), strict=True):
        if count:
            pair = {tuple(s * a % n for a, n in zip(omega, grid, strict=True)) for s in (1, -1)}
            assert len(pair) == count
            listed += sorted(pair)
    assert sorted(listed) == pixels(grid)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_omega_is_signed_and_in_rfftn_order(grid):
    f = frequencies(grid)
    half = (*grid[:-1], grid[-1] // 2 + 1)
    expected = [[signed(k, n) for k, n in zip(p, grid, strict=True)] for p in pixels(half)]
    assert f.omega.tolist() == expected
    assert f.degree.tolist() == [sum(map(abs, omega)) for omega in expected]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_weights_make_parseval_hold(grid):
    x = torch.randn(*grid, dtype=torch.float64)
    stored = torch.fft.rfftn(x, norm="ortho").flatten().abs().square()
    torch.testing.assert_close((frequencies(grid).weight * stored).sum(), x.square().sum())


def test_self_conjugate_frequencies_are_two_to_the_even_axes():
    plane = {(5,): 1, (6,): 2, (3, 3): 1, (3, 4): 2, (4, 3): 2, (4, 4): 4}
    for grid, number in {**plane, (4, 3, 2): 4, (2, 2, 2): 8}.items():
        assert (frequencies(grid).multiplicity == 1).sum() == number


def test_pairs_inside_the_outer_columns_are_listed_once():
    f = frequencies((4, 4))
    outer = {tuple(o) for o, m in zip(f.omega.tolist(), f.multiplicity.tolist(), strict=True) if m}
    assert (1, 0) in outer
    assert (-1, 0) not in outer
    assert (1, 2) in outer
    assert (-1, 2) not in outer
    assert {(2, 1), (-1, 1), (1, 1)} <= outer


def test_what_a_caller_changes_is_its_own():
    """The tables are made once; nobody can change them for the others."""
    grid, cpu = (FOLDED_FROM, FOLDED_FROM), torch.device("cpu")
    tables = [
        lambda name=name: getattr(frequencies(grid), name)
        for name in ("omega", "degree", "weight", "multiplicity", "modes")
    ]
    transform = real_dft(grid, torch.float32, cpu)
    tables += [lambda: transform.omega, lambda: transform.order]
    for table in tables:
        before = table().clone()
        table().fill_(7)
        assert torch.equal(table(), before)


def test_the_tables_do_not_depend_on_the_default_device():
    with torch.device("meta"):
        made = frequencies((3, 17)), real_dft((17,), torch.float32, torch.device("cpu"))
        assert coordinates_to_blocks(torch.ones(17), (17,)).is_meta
    assert made[0].omega.device == made[1].omega.device == torch.device("cpu")
    assert int(frequencies((3, 17)).multiplicity.sum()) == 51
    assert coordinates_to_blocks(torch.ones(17), (17,)).isfinite().all()
