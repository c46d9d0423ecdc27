"""Spectra against the SVD of dense operators and data matrices, float64."""

import os
import signal
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from model_cases import LAYERS, random_layer, random_network
from oracles import dense_matrix, dense_matrix_of, randn, rng
from torch import nn

import cbnlib.spectra._svd
from cbnlib import (
    Spectrum,
    conv_spectrum,
    frequencies,
    layer_spectrum,
    weight_spectra,
)
from cbnlib.spectra.convolutions import filter_spectrum, layer_spectra

CHANNELS = [(1, 1), (2, 3), (4, 2)]


def assert_same_values(spectrum, matrix):
    """All singular values agree to 1e-10 of the largest; the dense ones beyond are zero."""
    dense = torch.linalg.svdvals(matrix)
    ours = spectrum.operator_values()
    tolerance = 1e-10 * float(dense[0])
    torch.testing.assert_close(ours, dense[: len(ours)], rtol=0, atol=tolerance)
    assert (dense[len(ours) :] < tolerance).all()


@pytest.mark.parametrize(("c_in", "c_out"), CHANNELS)
@pytest.mark.parametrize(("grid", "window"), LAYERS, ids=str)
def test_layer_spectrum_is_the_dense_svd(grid, window, c_in, c_out):
    layer = random_layer(grid, window, c_in, c_out)
    assert_same_values(layer_spectrum(layer), dense_matrix(layer))


def conv():
    options = {"padding": "same", "padding_mode": "circular", "dtype": torch.float64}
    made = nn.Conv2d(4, 2, 3, **options)
    with torch.no_grad():
        nn.init.normal_(made.weight, generator=rng())
        nn.init.normal_(made.bias, generator=rng(1))
    return made


class Standardised(nn.Conv2d):
    def forward(self, x):
        return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)


class Masked(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight * (weight > 0), bias)


def with_forward(conv):
    conv.forward = lambda x: x
    return conv


def hooked(register):
    made = conv()
    getattr(made, register)(lambda *_: None)
    return made


def wrapped(wrap, **options):
    """A layer with a wrapped weight, after a step of training."""
    layer = wrap(conv(), **options)
    optimizer = torch.optim.SGD(layer.parameters(), 0.5)
    layer(torch.ones(1, 4, 8, 8, dtype=torch.float64)).square().mean().backward()
    optimizer.step()
    return layer


def old(wrap):
    with pytest.warns(FutureWarning) if wrap is nn.utils.weight_norm else nullcontext():
        return wrapped(wrap)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: Standardised(4, 2, 3, padding=1), "Standardised has a forward of its own"),
        (lambda: Masked(4, 2, 3, padding=1), "Masked has a _conv_forward of its own"),
        (lambda: with_forward(conv()), "Conv2d has a forward of its own"),
        (lambda: hooked("register_forward_hook"), r"Conv2d has hooks \(<lambda>\)"),
        (lambda: hooked("register_forward_pre_hook"), r"Conv2d has hooks \(<lambda>\)"),
        (lambda: old(nn.utils.weight_norm), r"Conv2d has hooks \(WeightNorm\)"),
        (lambda: old(nn.utils.spectral_norm), r"Conv2d has hooks \(SpectralNorm\)"),
    ],
    ids=str,
)
def test_a_layer_that_does_more_than_its_weight_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        conv_spectrum(layer(), (8, 8))


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "orthogonal"])
def test_a_parametrised_weight_is_that_of_a_pass_and_stays(name):
    layer = wrapped(getattr(nn.utils.parametrizations, name)).train()
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    spectrum = conv_spectrum(layer, (6, 5))
    assert layer.training
    for key, value in layer.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)
    assert_same_values(spectrum, dense_matrix_of(layer.eval(), 4, (6, 5)))


def test_counts_on_a_known_spectrum():
    freqs = frequencies((4, 4))
    values = torch.zeros(len(freqs.modes), 2)
    values[(freqs.degree[freqs.modes] == 0).nonzero()[0]] = torch.tensor([1.0, 0.9])
    values[(freqs.degree[freqs.modes] == 1).nonzero()[0]] = torch.tensor([0.8, 0.2])
    spectrum = Spectrum((4, 4), values)
    assert spectrum.real_dimensions(0.5) == 1 + 1 + 2
    assert spectrum.real_dimensions(0.1) == 1 + 1 + 2 + 2
    assert spectrum.kept_by_degree(0.5) == {0: 2, 1: 1}
    assert spectrum.gap(0.5) == pytest.approx((0.8, 0.2))
    assert spectrum.gap(2.0) == pytest.approx((float("inf"), 1.0))
    assert len(spectrum.operator_values()) == 32


@pytest.mark.parametrize("grid", [(5,), (4, 3), (3, 4)], ids=str)
def test_largest_is_the_norm_of_every_block_of_the_whole_grid(grid):
    layer = random_layer(grid, None)
    blocks = torch.fft.fftn(layer.weight.detach(), dim=layer.axes, norm="ortho")
    expected = torch.linalg.matrix_norm(blocks.movedim((0, 1), (-2, -1)), ord=2)
    torch.testing.assert_close(layer_spectrum(layer).largest(), expected)


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


FILTERS = [((9,), (9,)), ((40,), (36,)), ((10, 9), (3, 3)), ((9, 10), (9, 10)), ((8, 8), (2, 7))]


@pytest.mark.parametrize("channels", [(20, 12), (5, 16), (1, 1)], ids=str)
@pytest.mark.parametrize(("grid", "window"), FILTERS, ids=str)
@pytest.mark.usefixtures("threads")
def test_filter_spectrum_is_the_svd_of_the_whole_fft(grid, window, channels):
    """The published method's NumPy form, in float64; with and without the pool, FFT and sums."""
    w = randn(*channels, *window)
    blocks = np.fft.fftn(w.numpy(), grid, axes=range(2, w.ndim)).transpose(*range(2, w.ndim), 0, 1)
    freqs = frequencies(grid)
    at_modes = blocks[tuple(freqs.omega[freqs.modes].T.numpy())]
    expected = torch.from_numpy(np.linalg.svd(at_modes, compute_uv=False))
    largest = float(expected.max())
    for dtype, error in [(torch.float64, 1e-12), (torch.float32, 1e-5)]:
        for given in (filter_spectrum(w, grid, dtype=dtype), filter_spectrum(w.to(dtype), grid)):
            assert given.values.dtype == dtype
            difference = (given.values.double() - expected).abs().max()
            assert float(difference) < error * largest


def test_precision_is_that_of_the_whole_computation():
    model = random_network(grid=(6, 5)).float()
    double = weight_spectra(model.double())
    for spectrum, expected in zip(
        weight_spectra(model.float(), dtype=torch.float64), double, strict=True
    ):
        torch.testing.assert_close(spectrum.values, expected.values, rtol=0, atol=1e-13)
    assert model.convs[0].weight.dtype == torch.float32
    assert layer_spectrum(model.convs[0]).values.dtype == torch.float32
    single = layer_spectrum(model.double().convs[0], dtype=torch.float32)
    torch.testing.assert_close(single.values, double[0].values.float(), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("threads")
def test_many_layers_at_once_are_each_as_alone(monkeypatch):
    models = [random_network(seed, grid=(6, 5), width=20, depth=5) for seed in range(3)]
    models[0].convs[1].float()
    layers = [conv for model in models for conv in model.convs]
    alone = [torch.linalg.svdvals(_per_mode(layer)) for layer in layers]
    half_spectrum = 16 * 20 * 20 * 6 * 3
    for group in (cbnlib.spectra.convolutions._GROUP_BYTES, 2 * half_spectrum, 1):
        monkeypatch.setattr(cbnlib.spectra.convolutions, "_GROUP_BYTES", group)
        for spectrum, expected in zip(layer_spectra(layers), alone, strict=True):
            torch.testing.assert_close(spectrum.values, expected)
            assert not spectrum.values.requires_grad
    assert layer_spectra([]) == []


def _per_mode(layer):
    return layer.blocks().detach().flatten(2).permute(2, 0, 1)[frequencies(layer.grid).modes]


def test_no_slice_is_larger_than_a_few_megabytes(monkeypatch):
    """A layer with 44 MiB of half spectrum, by FFT and by sums; the SVD itself is left out."""
    sizes = []

    def svdvals(blocks):
        sizes.append(blocks.numel() * blocks.element_size())
        return blocks[:, :, 0].abs()

    monkeypatch.setattr(torch.linalg, "svdvals", svdvals)
    modes = len(frequencies((24, 24)).modes)
    for window in (24, 3):
        sizes.clear()
        w = randn(96, 96, window, window)
        assert filter_spectrum(w, (24, 24)).values.shape == (modes, 96)
        assert max(sizes) <= 4 * 2**20
        assert sum(sizes) == 16 * 96 * 96 * modes


@pytest.mark.usefixtures("threads")
def test_the_number_of_threads_stays(threads):
    cbnlib.spectra._svd._pool.cache_clear()  # its workers start anew
    filter_spectrum(torch.randn(16, 16, 12, 12, generator=rng()), (12, 12))
    in_new_thread = []
    other = threading.Thread(target=lambda: in_new_thread.append(_threads_after_work()))
    other.start()
    other.join()
    assert [torch.get_num_threads(), *in_new_thread] == [threads, threads]


@pytest.mark.parametrize("threads", [2], indirect=True)
def test_workers_have_one_thread_each_from_the_first_call_on(threads):
    cbnlib.spectra._svd._pool.cache_clear()
    cbnlib.spectra._svd.on_cores(abs, [-1, -2])
    in_workers = cbnlib.spectra._svd.on_cores(lambda _: _threads_after_work(), range(20))
    assert in_workers == [1] * 20


def _threads_after_work():
    torch.ones(10).sum()
    return torch.get_num_threads()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("threads", [2], indirect=True)
def test_the_pool_works_in_a_forked_process(threads):
    assert cbnlib.spectra._svd.on_cores(abs, [-1, -2, -3]) == [1, 2, 3]
    child = os.fork()
    if child == 0:
        os._exit(cbnlib.spectra._svd.on_cores(abs, [-1, -2, -3]) != [1, 2, 3])
    end = time.monotonic() + 10
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 0


SMALL = {
    "subnormal": [[1.6e-8, 0, 0], [0, 0, 1.3e-43]],
    "its square is": [[1.656e-15, 0, -3.481e-14], [7.754e-37, 0, -1.63e-35]],
    "both": [[1.0, 2e-30, 0], [0, 1e-44, 3e-39]],
    "zeros": [[0.0, 0, 0], [0, 0, 0]],
}
"""The first two, taken from trained networks, are NaN to `torch.linalg.svdvals`."""


@pytest.mark.parametrize("name", SMALL)
def test_weights_that_decayed_to_nothing_have_singular_values(name):
    blocks = torch.tensor(SMALL[name], dtype=torch.complex64).unsqueeze(-1)
    values = cbnlib.spectra.convolutions.spectrum_of_blocks(blocks, (1,)).values[0].double()
    exact = torch.from_numpy(np.linalg.svd(np.array(SMALL[name]), compute_uv=False))
    torch.testing.assert_close(values, exact, rtol=1e-6, atol=1e-13 * float(exact[0]))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_singular_vectors_of_almost_nothing(name, dtype):
    given = torch.tensor(SMALL[name], dtype=dtype)
    u, s, vh = cbnlib.spectra._svd.singular_vectors(given)
    close = {"rtol": 1e-5, "atol": 1e-12 * float(given.abs().max())}
    torch.testing.assert_close(u * s @ vh, given, **close)
