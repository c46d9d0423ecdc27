"""The dependence on input frequencies, against dense Jacobians times the Fourier matrix."""

import functools

import pytest
import torch
from model_cases import random_network
from oracles import pixels, randn, rng
from torch import nn

from cbnlib import frequency_response
from cbnlib.network.frequencies import frequencies

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class Block(nn.Module):
    """Begins in place; takes more than its input, and returns more than its output."""

    def __init__(self, axes):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv = CONVS[axes](3, 3, 3, padding=1).double()

    def forward(self, x, *, scale):
        skip = x.clone()
        return skip + scale * self.conv(self.relu(x)), "more"


class Net(nn.Module):
    def __init__(self, axes, outputs=4):
        super().__init__()
        torch.manual_seed(0)
        self.first = CONVS[axes](2, 3, 3, padding=1).double()
        self.block = Block(axes)
        self.norm = nn.Dropout(0.5)
        self.unused = nn.Identity()
        self.last = CONVS[axes](3, outputs, 1).double()

    def forward(self, x):
        h = self.norm(self.block(self.first(x), scale=2)[0])
        return self.last(h).flatten(2).mean(dim=2)


def dense(function, x):
    """Root mean square over the samples of the Jacobian times the inverse Fourier matrix."""
    freqs, grid = frequencies(x.shape[2:]), x.shape[2:]
    omega = freqs.omega[freqs.modes].double() / torch.tensor(grid)
    phase = 2 * torch.pi * torch.tensor(pixels(grid)).double() @ omega.mT
    inverse = torch.complex(phase.cos(), phase.sin()) / grid.numel() ** 0.5  # x = inverse @ x̂
    squares = []
    for sample in x:
        rows = torch.func.jacrev(lambda s: function(s.unsqueeze(0)).flatten())(sample)
        by_frequency = rows.flatten(2).to(inverse.dtype) @ inverse
        squares.append(by_frequency.abs().square().sum(dim=(0, 1)))
    return torch.stack(squares).mean(dim=0).sqrt()


GRIDS = [(7,), (6,), (5, 4), (4, 4), (3, 2, 4)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_whole_network(grid):
    model, x = Net(len(grid)).train(), randn(3, 2, *grid)
    response = frequency_response(model, x)
    assert response.exact
    assert not response.standard_error.any()
    assert model.training
    model.eval()
    expected = dense(model, x)
    torch.testing.assert_close(response.values, expected, rtol=0, atol=1e-10)
    assert torch.equal(response.frequencies, response.spectrum.omega)
    assert all(p.grad is None for p in model.parameters())
    assert x.grad is None


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_block_with_its_skip_connection(grid):
    model, x = Net(len(grid)).eval(), randn(3, 2, *grid)
    response = frequency_response(model, x, layer="block", probes=3 * grid[0] * 8)
    assert response.exact
    received = model.first(x).detach()
    expected = dense(lambda h: model.block(h.clone(), scale=2)[0], received)
    torch.testing.assert_close(response.values, expected, rtol=0, atol=1e-10)


def test_a_circular_convolution_has_the_norms_of_its_blocks():
    model = nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular").double()
    response = frequency_response(model, randn(2, 2, 4, 5), probes=60)
    w_hat = torch.fft.fftn(model.weight.detach(), s=(4, 5), dim=(2, 3)).abs().square().sum((0, 1))
    torch.testing.assert_close(response.values, w_hat[response.frequencies.unbind(1)].sqrt())


def test_estimates_are_within_their_errors():
    model, x = random_network(grid=(4, 6)), randn(2, 1, 4, 6)
    exact = frequency_response(model, x, probes=24)
    assert exact.exact
    estimate = functools.partial(frequency_response, model, x, probes=20)
    results = [estimate(generator=rng(seed)) for seed in range(30)]
    assert not any(r.exact for r in results)
    off = torch.stack([(r.values - exact.values) / r.standard_error for r in results])
    assert off.abs().max() < 6
    assert 0.6 < off.square().mean().sqrt() < 1.6
    again = estimate(generator=rng(0))
    assert torch.equal(again.values, results[0].values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision(dtype):
    model, x = Net(2).eval(), randn(2, 2, 4, 4)
    expected = frequency_response(model, x).values
    response = frequency_response(model.to(dtype), x.to(dtype))
    torch.testing.assert_close(response.values, expected, rtol=0.05, atol=0.05)


def test_a_compiled_network():
    model, x = Net(1).eval(), randn(2, 2, 6)
    compiled = torch.compile(model, backend="eager")
    compiled(x)
    for whole, part in ((None, None), ("_orig_mod.block", "block")):
        found = frequency_response(compiled, x, layer=whole, probes=18)
        torch.testing.assert_close(
            found.values, frequency_response(model, x, layer=part, probes=18).values
        )


class Ignores(nn.Module):
    def forward(self, x):
        return torch.zeros(len(x), 3)


BAD = [
    (lambda: frequency_response("net", randn(1, 2, 4)), TypeError, "model must be a Module"),
    (lambda: frequency_response(Net(1), [1.0]), TypeError, "x must be a Tensor"),
    (lambda: frequency_response(Net(1), randn(1, 2, 4), probes=1), ValueError, "probes must be"),
    (lambda: frequency_response(Net(1), randn(2, 4)), ValueError, r"network: its input has shape"),
    (lambda: frequency_response(Net(1), torch.ones(1, 2, 4).long()), ValueError, "real numbers"),
    (lambda: frequency_response(Net(1), randn(1, 2, 4) / 0), ValueError, "x: 8 of 8 entries"),
    (
        lambda: frequency_response(Net(1), randn(1, 2, 4), layer="no"),
        ValueError,
        "no layer 'no'; it has .*block",
    ),
    (
        lambda: frequency_response(Net(1), randn(1, 2, 4), layer="unused"),
        ValueError,
        "layer 'unused' is not called",
    ),
    (lambda: frequency_response(Ignores(), randn(1, 2, 4)), ValueError, "be differentiated"),
    (lambda: frequency_response(Net(1), randn(1, 3, 4)), RuntimeError, "channels"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[case[2] for case in BAD])
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
