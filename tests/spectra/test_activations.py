"""Spectra of what layers receive and return, against the SVD of all coefficients at once."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from model_cases import Net, random_network
from oracles import pixels, randn
from torch import nn

from cbnlib import activation_spectra, pre_activation_spectra
from cbnlib.network.frequencies import frequencies

GRIDS = [(7,), (6,), (5, 4), (4, 4), (3, 7), (3, 4, 5), (4, 2, 6)]
CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def network(axes=2, width=5):
    torch.manual_seed(0)
    conv, relu = functools.partial(CONVS[axes], dtype=torch.float64), nn.ReLU(inplace=True)
    return nn.Sequential(conv(2, width, 3, padding=1), relu, conv(width, 3, 2, stride=2, padding=1))


def dft(grid):
    """Rows are the modes, with unitary scale; independent of the FFT."""
    at = np.array(pixels(grid)) / np.array(grid)
    freqs = frequencies(grid)
    omega = freqs.omega[freqs.modes].numpy()
    return np.exp(-2j * np.pi * omega @ at.T) / len(at) ** 0.5


def stacked(signals):
    """Coefficients of all samples, shape `[modes, samples, channels]`."""
    a = signals.detach().double().flatten(2).numpy()
    return np.einsum("mp,bcp->mbc", dft(tuple(signals.shape[2:])), a)


def assert_is_svd_of(found, signals, *, centred=False):
    matrices = stacked(signals)
    if centred:
        matrices = matrices - matrices.mean(axis=1, keepdims=True)
    expected = np.linalg.svd(matrices, compute_uv=False) / len(signals) ** 0.5
    assert found.samples == len(signals)
    values = found.spectrum.values
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-13 * expected.max())
    triangle = found.triangle.numpy()
    moment = matrices.conj().swapaxes(1, 2) @ matrices / len(signals)
    np.testing.assert_allclose(triangle.conj().swapaxes(1, 2) @ triangle, moment, atol=1e-12)
    along = np.linalg.norm(matrices @ found.directions.mH.resolve_conj().numpy(), axis=1)
    np.testing.assert_allclose(along / len(signals) ** 0.5, values, atol=1e-12)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_batch_by_batch_as_all_at_once(grid, centred):
    model, x = network(len(grid)), randn(90, 2, *grid) + 0.5
    spectra = activation_spectra(model, x.split([5, 1, 77, 7]), centred=centred)
    before = model[0](x)
    expected = {
        ("0", "input"): x,
        ("0", "output"): before,
        ("2", "input"): before.relu(),  # the module works in place
        ("2", "output"): model[2](before.relu()),
    }
    assert [(s.name, s.kind) for s in spectra] == list(expected)
    for found, signals in zip(spectra, expected.values(), strict=True):
        assert_is_svd_of(found, signals, centred=centred)


@pytest.mark.parametrize("samples", [1, 3, 4])
@pytest.mark.parametrize("centred", [False, True])
def test_fewer_samples_than_channels(samples, centred):
    model, x = network(), randn(samples, 2, 5, 4)
    found = activation_spectra(model, x.split(2), layers=["1"], centred=centred)[0]
    assert found.spectrum.values.shape[1] == samples
    expected = stacked(model[0](x))
    expected = expected - expected.mean(axis=1, keepdims=True) if centred else expected
    expected = np.linalg.svd(expected, compute_uv=False) / samples**0.5
    np.testing.assert_allclose(found.spectrum.values, expected, atol=1e-12)


def test_small_values_are_as_exact_as_large_ones():
    """From squares, what is below 1e-8 of the largest value would be rounding."""
    x = randn(200, 3, 6) * torch.tensor([1, 1e-6, 1e-11]).reshape(3, 1)
    found = activation_spectra(nn.Identity(), x, layers=[""])[0]
    expected = np.linalg.svd(stacked(x), compute_uv=False) / 200**0.5
    np.testing.assert_allclose(found.spectrum.values, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("grid", "head"),
    [((6,), "equivariant"), ((5,), "pooling"), ((4, 3), "equivariant"), ((3, 4), "pooling")],
    ids=str,
)
def test_the_library_s_own_network(grid, head):
    model, x = random_network(grid=grid, head=head), randn(75, 1, *grid)  # two batches
    outputs = [s for s in activation_spectra(model, x) if s.kind == "output"]
    assert len(outputs) == len(model.convs)
    for ours, theirs in zip(outputs, pre_activation_spectra(model, x), strict=True):
        torch.testing.assert_close(ours.spectrum.values, theirs.values)


def conv(c_in=2, c_out=2, **options):
    return nn.Conv2d(c_in, c_out, 3, **{"padding": 1} | options)


def awkward():
    def forward(net, x):
        h = net.shared(net.shared(x)[..., ::2, :])
        return net.dense(net.norm(net.keyword(input=h)).flatten(1)), net.pair(h)

    torch.manual_seed(0)
    pair = Net(lambda net, x: (x, net.inner(x)), inner=conv())
    dense = nn.Linear(2 * 2 * 6, 3)
    modules = {"shared": conv(), "keyword": conv(), "norm": nn.BatchNorm2d(2), "unused": conv()}
    return Net(forward, **modules, dense=dense, pair=pair).train()


ALL = ["shared", "keyword", "norm", "unused", "dense", "pair", "pair.inner"]


def test_every_layer_is_there_or_named():
    model = awkward()
    model.dense.eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.randn(6, 2, 4, 6)
    spectra = activation_spectra(model, [x[:4], x[4:]], layers=ALL)
    assert [(s.name, s.kind, s.spectrum.grid) for s in spectra] == [
        ("shared (call 1)", "input", (4, 6)),
        ("shared (call 1)", "output", (4, 6)),
        ("shared (call 2)", "input", (2, 6)),
        ("shared (call 2)", "output", (2, 6)),
        ("keyword", "input", (2, 6)),
        ("keyword", "output", (2, 6)),
        ("norm", "input", (2, 6)),
        ("norm", "output", (2, 6)),
        ("pair", "input", (2, 6)),
        ("pair.inner", "input", (2, 6)),
        ("pair.inner", "output", (2, 6)),
    ]
    assert spectra.left_out == {
        "unused": "not called in these passes",
        "dense (input)": "its input has shape (2, 24), not [samples, channels, *grid]",
        "dense (output)": "its output has shape (2, 3), not [samples, channels, *grid]",
        "pair (output)": "its output is no tensor of real numbers",
    }
    assert [m.training for m in (model, model.norm, model.dense)] == [True, True, False]
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_images_of_several_sizes():
    model, x, y = conv().double(), randn(4, 2, 4, 4), randn(3, 2, 5, 6)
    found = activation_spectra(model, [x[:2], y, x[2:]])
    names = [(s.name, s.kind, s.samples) for s in found]
    assert names[::2] == [(" on 4×4", "input", 4), (" on 5×6", "input", 3)]
    assert_is_svd_of(found[0], x)
    assert_is_svd_of(found[3], model(y))


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = conv().double()

    def forward(self, image, scale=1.0):
        return self.conv(scale * image)


X = randn(5, 2, 4, 4)
LOADERS = {
    "a tensor": X,
    "tensors": [X[:2], X[2:]],
    "pairs": [(X[:2], "y"), [X[2:], "y"]],
    "dicts": [{"image": X[:2], "label": 1}, {"image": X[2:]}],
    "dicts in pairs": [({"image": X, "scale": 1.0}, 3)],
    "a generator": (batch for batch in [X[:2], X[2:]]),
    "DataLoader": torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, X), batch_size=2),
    "single images": list(X),
}


@pytest.mark.parametrize("name", LOADERS)
def test_loaders(name):
    model = Named()
    found = activation_spectra(model, LOADERS[name])
    assert_is_svd_of(found[0], X)
    assert_is_svd_of(found[1], model.conv(X))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_that_of_the_network_alone(dtype):
    model, x = conv().to(dtype), torch.randn(40, 2, 4, 6).to(dtype)
    found = activation_spectra(model, x.split(16))
    signals = torch.cat([model(batch) for batch in x.split(16)])
    assert_is_svd_of(found[0], x)
    assert_is_svd_of(found[1], signals)


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, functools.partial(torch.compile, backend="eager")]
)
def test_wrapped_networks(wrap):
    model, x = nn.Sequential(conv(), nn.ReLU()), torch.randn(4, 2, 4, 4)
    wrapped = wrap(model)
    with torch.no_grad():
        wrapped(x)
    (found,) = [s for s in activation_spectra(wrapped, x) if s.kind == "output"]
    assert_is_svd_of(found, model[0](x))


def broken(net, x):
    return net.second(net.first(x) / 0)


BAD = [
    (lambda: activation_spectra("net", X), TypeError, "model must be a Module, got 'net'"),
    (lambda: activation_spectra(Named(), []), ValueError, "the loader has no batch"),
    (lambda: activation_spectra(Named(), 5), TypeError, "the loader must hold batches, got 5"),
    (lambda: activation_spectra(Named(), X[:0]), ValueError, "samples in the input of 'conv'"),
    (lambda: activation_spectra(Named(), ["x"]), TypeError, "a batch must be a tensor, .* got 'x'"),
    (lambda: activation_spectra(Named(), [()]), TypeError, r"a batch must be .* got \(\)"),
    (lambda: activation_spectra(Named(), [{"x": X}]), TypeError, r"\['image', 'scale'\], .*'x'"),
    (lambda: activation_spectra(Named(), X, layers=["no"]), ValueError, "no layer 'no'; .* 'conv'"),
    (lambda: activation_spectra(Named(), X, layers=[]), ValueError, "no layer named"),
    (lambda: activation_spectra(nn.ReLU(), X), ValueError, "the network has no convolution"),
    (lambda: activation_spectra(Named(), X, centred=2), ValueError, "centred must be True or"),
    (lambda: activation_spectra(Named(), X * float("nan")), ValueError, "input of 'conv': 160 of"),
    (
        lambda: activation_spectra(Net(broken, first=conv(), second=conv()), X.float()),
        ValueError,
        "input of 'second': 160 of 160 entries are NaN",
    ),
    (lambda: activation_spectra(Named(), X.float()), RuntimeError, "type"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[case[2] for case in BAD])
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


MEASURE = """
import torch
from pathlib import Path
from torch import nn
from cbnlib import activation_spectra
torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
for batches in (2, 8):
    activation_spectra(model, (torch.randn(32, 3, 64, 64) for _ in range(batches)))
    status = Path("/proc/self/status").read_text()  # getrusage has the parent's peak, too
    print(status.split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_memory_does_not_grow_with_the_data():
    run = subprocess.run(
        [sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True, timeout=300
    )
    few, many = map(int, run.stdout.split())
    coefficients = 6 * 32 * (3 + 8 + 8 + 8) * 64 * 33 * 16 / 1024  # of 6 batches
    assert many - few < 0.2 * coefficients
    assert many < 1024**2  # 1 GiB
