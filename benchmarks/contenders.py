"""The same work done in different ways, each as a function to be called again and again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import resident_peak
from cbnlib import CNN, CNNConfig
from cbnlib.spectra.convolutions import filter_spectrum
from cbnlib.training.budget import EVERY, Budget, Confinement
from cbnlib.training.engine import Engine, FewModes
from cbnlib.training.train import fit_function

Step = Callable[[], object]
HELD, HELD_LAYERS = "DC×3, ±(1,0)×2, ±(0,1)×2, ±(1,1)×1", (3, 8)
"""A budget of 13 real dimensions, and the first and the last layer that it holds."""
RATE = 1e-6
"""Learning rate, small, so that repeating a step does not lead anywhere."""


@dataclass(frozen=True)
class StepCase:
    """The size of a training step of an autoencoder on an n × n grid, with square loss and Adam."""

    n: int
    width: int
    depth: int
    batch: int = 64

    def facts(self) -> dict[str, int]:
        """As JSON."""
        return asdict(self)

    def config(self, **changes: str) -> CNNConfig:
        """The network."""
        grid = (self.n, self.n)
        return CNNConfig(grid, self.width, self.depth, **changes)  # type: ignore[arg-type]

    def channels(self) -> list[tuple[int, int]]:
        """Channels in and out of every layer."""
        return list(pairwise([1, *[self.width] * (self.depth - 1), 1]))

    def data(self) -> Tensor:
        """Inputs, which are the targets, too."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(self.batch, 1, self.n, self.n, generator=generator)


def engine_step(case: StepCase) -> Step:
    """The library's own engine, with filters in Fourier coordinates."""
    return _engine_step(CNN(case.config(parametrization="spectral"), seed=0), case)


def engine_in_pixels_step(case: StepCase) -> Step:
    """The library's engine with filters in pixels, which it must transform in every step."""
    return _engine_step(CNN(case.config(), seed=0), case)


def _engine_step(
    model: CNN, case: StepCase, few_modes: Mapping[int, FewModes] | None = None
) -> Step:
    engine = Engine(model, fit_function("square"), case.batch, few_modes=few_modes)
    optimizer, x = _adam(engine.parameters), case.data()

    def step() -> None:
        engine.gradients(x, x)
        optimizer.step()

    return step


def free_steps(case: StepCase) -> Step:
    """`EVERY` steps of the engine, nothing held."""
    return _repeated(engine_step(case))


def held_steps(case: StepCase) -> Step:
    """As many steps with the layers held to a budget, and their projection."""
    model = CNN(case.config(parametrization="spectral"), seed=0)
    held = Confinement(model, Budget.parse(HELD, model.config.grid), HELD_LAYERS)
    return _repeated(_engine_step(model, case, held.few), held.project)


def _repeated(step: Step, then: Step = lambda: None) -> Step:
    def steps() -> None:
        for _ in range(EVERY):
            step()
        then()

    return steps


def plain_step(case: StepCase) -> Step:
    """Plain `torch.fft` layers (rfftn, einsum, irfftn) with automatic differentiation."""
    return _autograd_step(CNN(case.config(), seed=0), case)


def conv2d_step(case: StepCase) -> Step:
    """`torch.nn.Conv2d` with circular padding and filters as large as the grid."""
    layers: list[nn.Module] = []
    for c_in, c_out in case.channels():
        layers += [
            nn.Conv2d(c_in, c_out, case.n, padding="same", padding_mode="circular"),
            nn.ReLU(inplace=True),
        ]
    return _autograd_step(nn.Sequential(*layers[:-1]), case)


def _autograd_step(model: nn.Module, case: StepCase) -> Step:
    x, optimizer = case.data(), _adam(list(model.parameters()))
    fit = fit_function("square")

    def step() -> None:
        loss = fit(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _adam(parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=RATE, fused=True)


STEPS: dict[str, Callable[[StepCase], Step]] = {
    "engine": engine_step,
    "engine, filters in pixels": engine_in_pixels_step,
    "plain torch.fft": plain_step,
    "nn.Conv2d": conv2d_step,
}


def peak_memory(contender: str, case: StepCase) -> int:
    """Memory that some steps take beyond what was held before, in bytes.

    To be called in a process of its own. A tiny case comes first, so that libraries are loaded.
    """
    STEPS[contender](StepCase(8, 2, 2, 2))()
    before = resident_peak()
    step = STEPS[contender](case)
    for _ in range(3):
        step()
    return resident_peak() - before


@dataclass(frozen=True)
class SpectraCase:
    """A layer whose singular values are wanted, with n × n grid, c × c channels, k × k filter."""

    n: int
    channels: int
    filter: int
    dtype: str

    def facts(self) -> dict[str, int | str]:
        """As JSON."""
        return asdict(self)

    def weight(self) -> np.ndarray:
        """The filter, shape `[k, k, c, c]`, as the NumPy form takes it."""
        rng = np.random.default_rng(0)
        shape = (self.filter, self.filter, self.channels, self.channels)
        return rng.standard_normal(shape).astype(self.dtype)


def numpy_spectra(case: SpectraCase) -> Callable[[], np.ndarray]:
    """The published method's NumPy form (Sedghi, Gupta and Long, ICLR 2019)."""
    w, grid = case.weight(), (case.n, case.n)
    return lambda: np.linalg.svd(np.fft.fft2(w, grid, axes=[0, 1]), compute_uv=False)


def library_spectra(case: SpectraCase) -> Callable[[], Tensor]:
    """The library."""
    w = torch.from_numpy(case.weight()).permute(2, 3, 0, 1).contiguous()
    return lambda: filter_spectrum(w, (case.n, case.n)).values


def spectra_error(case: SpectraCase) -> float:
    """Largest error of the library's values, in units of the largest singular value."""
    w, grid = case.weight(), (case.n, case.n)
    double = np.fft.fft2(w.astype(np.float64), grid, axes=[0, 1])
    exact = np.linalg.svd(double, compute_uv=False)
    w_torch = torch.from_numpy(w).permute(2, 3, 0, 1).contiguous()
    found = filter_spectrum(w_torch, grid).operator_values().double().numpy()
    every = np.sort(exact.ravel())[::-1]
    return float(np.abs(found - every).max() / every[0])
