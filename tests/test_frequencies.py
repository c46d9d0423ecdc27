"""Counting, against the frequencies of the whole grid enumerated one by one."""

import pytest
import torch
from oracles import GRIDS, pixels

from cbnlib import frequencies


def signed(k: int, n: int) -> int:
    return k if k <= n // 2 else k - n


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_modes_list_every_frequency_of_the_grid_once(grid: tuple[int, ...]) -> None:
    f = frequencies(grid)
    listed = []
    for omega, count in zip(f.omega.tolist(), f.multiplicity.tolist(), strict=True):
        if count:
            pair = {tuple(s * a % n for a, n in zip(omega, grid, strict=True)) for s in (1, -1)}
            assert len(pair) == count
            listed += sorted(pair)
    assert sorted(listed) == pixels(grid)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_omega_is_signed_and_in_rfftn_order(grid: tuple[int, ...]) -> None:
    f = frequencies(grid)
    half = (*grid[:-1], grid[-1] // 2 + 1)
    expected = [[signed(k, n) for k, n in zip(p, grid, strict=True)] for p in pixels(half)]
    assert f.omega.tolist() == expected
    assert f.degree.tolist() == [sum(map(abs, omega)) for omega in expected]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_weights_make_parseval_hold(grid: tuple[int, ...]) -> None:
    x = torch.randn(*grid, dtype=torch.float64)
    stored = torch.fft.rfftn(x, norm="ortho").flatten().abs().square()
    torch.testing.assert_close((frequencies(grid).weight * stored).sum(), x.square().sum())


def test_self_conjugate_frequencies_are_two_to_the_even_axes() -> None:
    for grid, number in {(5,): 1, (6,): 2, (3, 3): 1, (3, 4): 2, (4, 3): 2, (4, 4): 4}.items():
        assert (frequencies(grid).multiplicity == 1).sum() == number


def test_pairs_inside_the_outer_columns_are_listed_once() -> None:
    f = frequencies((4, 4))
    outer = {tuple(o) for o, m in zip(f.omega.tolist(), f.multiplicity.tolist(), strict=True) if m}
    assert (1, 0) in outer
    assert (-1, 0) not in outer
    assert (1, 2) in outer
    assert (-1, 2) not in outer
    assert {(2, 1), (-1, 1), (1, 1)} <= outer


@pytest.mark.parametrize("grid", [(), (4, 4, 4), 0, (4, -1), (2.0,), True], ids=str)
def test_bad_grid(grid: object) -> None:
    with pytest.raises(ValueError, match="grid"):
        frequencies(grid)  # type: ignore[arg-type]
