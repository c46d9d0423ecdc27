"""Down-sampling against its definition: norms, adjoints, and what is left of equivariance."""

from typing import Any

import numpy as np
import pytest
import torch
from model_cases import random_network
from oracles import dense_matrix_of, rng

from cbnlib import activation_spectra
from cbnlib.model import CoarseStage
from cbnlib.resampling import Resample

METHODS = ["crop", "stride", "average"]
GRIDS = [((8,), (4,)), ((6,), (3,)), ((6, 4), (3, 2)), ((4, 6), (2, 2))]
CROPS = [((8,), (5,)), ((7,), (4,)), ((5, 6), (3, 4)), ((4, 4), (4, 4))]


def matrices(fine: Any, coarse: Any, method: Any) -> tuple[torch.Tensor, torch.Tensor]:
    down = dense_matrix_of(Resample(fine, coarse, method), 2, fine)
    up = dense_matrix_of(Resample(fine, coarse, method, adjoint=True), 2, coarse)
    return down, up


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("fine", "coarse"), GRIDS, ids=str)
def test_back_is_the_adjoint_and_norms_are_as_stated(fine: Any, coarse: Any, method: Any) -> None:
    down, up = matrices(fine, coarse, method)
    torch.testing.assert_close(up, down.T)
    scale = torch.Size(fine).numel() / torch.Size(coarse).numel()
    norm = float(torch.linalg.matrix_norm(down, ord=2))
    assert norm == pytest.approx(scale**-0.5 if method == "average" else 1.0)


@pytest.mark.parametrize(("fine", "coarse"), GRIDS + CROPS, ids=str)
def test_crop_is_a_partial_isometry_on_the_low_frequencies(fine: Any, coarse: Any) -> None:
    down, up = matrices(fine, coarse, "crop")
    torch.testing.assert_close(up, down.T)
    projector = up @ down
    torch.testing.assert_close(projector @ projector, projector)
    x = torch.randn(1, 2, *fine, dtype=torch.float64, generator=rng())
    x_hat = np.fft.fftn(x.numpy(), axes=range(2, x.ndim))
    for index in np.ndindex(*fine):
        signed = [k if k <= n // 2 else k - n for k, n in zip(index, fine, strict=True)]
        if any(2 * abs(s) >= m for s, m in zip(signed, coarse, strict=True)):
            x_hat[(slice(None), slice(None), *index)] = 0
    low_pass = torch.from_numpy(np.fft.ifftn(x_hat, axes=range(2, x.ndim)).real)
    torch.testing.assert_close(projector @ x.flatten(), low_pass.flatten())


def test_crop_scales_pixels_by_the_root_of_the_ratio() -> None:
    constant = torch.full((1, 1, 8), 3.0)
    torch.testing.assert_close(Resample((8,), (2,), "crop")(constant), torch.full((1, 1, 2), 6.0))


@pytest.mark.parametrize("method", METHODS)
def test_a_coarse_stage_commutes_with_coarse_translations_only(method: Any) -> None:
    stage = CoarseStage(grid=(3, 2), first=2, last=3, method=method)
    model = random_network(grid=(6, 4), depth=4, coarse=stage)
    assert [conv.grid for conv in model.convs] == [(6, 4), (3, 2), (3, 2), (6, 4)]
    x = torch.randn(2, 1, 6, 4, dtype=torch.float64, generator=rng())
    y = model(x)
    torch.testing.assert_close(model(x.roll((2, -2), (2, 3))), y.roll((2, -2), (2, 3)))
    assert (model(x.roll(1, 2)) - y.roll(1, 2)).abs().max() > 1e-3
    assert [s.grid for s in activation_spectra(model, x)] == [conv.grid for conv in model.convs]


@pytest.mark.parametrize("method", METHODS)
def test_pooling_takes_a_coarse_end(method: Any) -> None:
    stage = CoarseStage(grid=4, first=1, last=3, method=method)
    model = random_network(grid=8, depth=4, head="pooling", c_out=3, coarse=stage)
    x = torch.randn(2, 1, 8, dtype=torch.float64, generator=rng())
    torch.testing.assert_close(model(x.roll(2, 2)), model(x))


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"grid": 4, "first": 0, "last": 1}, "first coarse layer must be an integer >= 1, got 0"),
        ({"grid": 4, "first": 3, "last": 2}, "last coarse layer must be an integer >= 3, got 2"),
        ({"grid": 4, "first": 2, "last": 3}, "last coarse layer must be <= 2, got 3"),
        ({"grid": 4, "first": 2, "last": 2, "method": "max"}, "unknown resampling 'max'"),
        ({"grid": 3, "first": 2, "last": 2, "method": "stride"}, r"\(3,\) must divide the grid"),
        ({"grid": 9, "first": 2, "last": 2}, r"\(9,\) must not exceed the grid \(8,\)"),
        ({"grid": (4, 4), "first": 2, "last": 2}, "must have as many axes"),
    ],
    ids=str,
)
def test_bad_stages(stage: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        random_network(grid=8, depth=3, coarse=CoarseStage(**stage))
