r"""Coordinates of a layer: one complex number per input, to be read, swapped or turned like a dial.

If a signal moves by $t$ pixels, an equivariant layer's coefficient at $\omega$ is multiplied by
$e^{-2\pi i\,\omega\cdot t/n}$. So a non-zero frequency can store an angle. A kept direction
of $W_\ell$ at $\omega$ has a left singular vector $u$. It contributes the number
$z=u^*\hat{\tilde\alpha}_\ell(\omega)$ to the pre-activation. Set $z$ to another value and run the
remaining layers (`CNN.forward_from`) to see what it encodes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cbnlib._checks import check_positive
from cbnlib.network.frequencies import frequencies
from cbnlib.network.layers import CircularConv
from cbnlib.spectra._svd import singular_vectors


def coefficients(signals: Tensor, omega: Sequence[int]) -> Tensor:
    r"""The unitary Fourier coefficient of every channel at one frequency.

    Args:
        signals: Shape `[samples, c, *grid]`.
        omega: Frequency vector.

    Returns:
        Complex, shape `[samples, c]`.

    Raises:
        ValueError: If the frequency does not fit the grid.

    Example:
        >>> wave = torch.cos(2 * torch.pi * torch.arange(4) / 4)[None, None]
        >>> coefficients(wave, [1]).abs()
        tensor([[1.]])
    """
    _check_frequency(omega, signals.shape[2:])
    x_hat = torch.fft.fftn(signals, dim=tuple(range(2, signals.ndim)), norm="ortho")
    at_omega: Tensor = x_hat[(slice(None), slice(None), *omega)]  # negative indices wrap around
    return at_omega


def _check_frequency(omega: Sequence[int], grid: Sequence[int]) -> None:
    if len(omega) != len(grid) or any(abs(k) >= n for k, n in zip(omega, grid, strict=True)):
        raise ValueError(f"frequency {tuple(omega)} does not fit the grid {tuple(grid)}")


@dataclass(frozen=True, eq=False)
class Coordinate:
    r"""One complex number per input, a layer's coefficient at $\omega$ in one channel direction.

    Attributes:
        omega: Frequency vector.
        direction: Unit vector over channels, complex, shape `[c]`.
    """

    omega: tuple[int, ...]
    direction: Tensor

    @classmethod
    def leading(cls, signals: Tensor, omega: Sequence[int]) -> "Coordinate":
        """The coordinate along which given signals are largest (in mean square)."""
        return cls(tuple(omega), singular_vectors(coefficients(signals, omega))[2][0])

    def __call__(self, signals: Tensor) -> Tensor:
        """Its value for each signal, complex, shape `[samples]`.

        Raises:
            ValueError: If the frequency does not fit the grid, or the direction the channels.
        """
        of_channels = coefficients(signals, self.omega)
        if of_channels.shape[1:] != self.direction.shape:
            raise ValueError(
                f"{of_channels.shape[1]} channels do not fit a direction of shape "
                f"{tuple(self.direction.shape)}"
            )
        return of_channels @ self.direction.conj()

    def offset(self, signals: Tensor, angle: Tensor) -> float:
        r"""The constant $c$ for which $c-\arg z$ is closest to given angles, all samples alike.

        An equivariant network may store an angle turned by a constant. Nothing else is free,
        neither sense nor speed.
        """
        return float((self(signals) * torch.exp(1j * angle)).mean().angle())

    def read(self, signals: Tensor, offset: float) -> Tensor:
        r"""The angle $c-\arg z$ that each signal stores, in $(-\pi,\pi]$, shape `[samples]`."""
        return wrapped(offset - self(signals).angle())


def wrapped(angle: Tensor) -> Tensor:
    r"""Angles moved by whole turns to $(-\pi,\pi]$.

    Example:
        >>> wrapped(torch.tensor([3 * torch.pi / 2, -0.5]))
        tensor([-1.5708, -0.5000])
    """
    return math.pi - (math.pi - angle) % (2 * math.pi)


def coherence(z: Tensor, angle: Tensor) -> float:
    r"""Measure how well the phase of complex numbers follows an angle, from 0 to 1.

    $\big\lvert\sum_x z_xe^{i\theta_x}\big\rvert/\sum_x\lvert z_x\rvert$ is 1 if $\arg z=c-\theta$
    for a constant $c$, and about $1/\sqrt{\#}$ if the two are independent. NaN if all $z_x$ are 0.

    Args:
        z: Complex, shape `[samples]`.
        angle: $\theta$, same shape.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> theta = torch.linspace(0, 3, 5)
        >>> round(coherence(2j * torch.exp(-1j * theta), theta), 4)
        1.0
    """
    if z.shape != angle.shape:
        raise ValueError(f"shapes differ: {tuple(z.shape)} and {tuple(angle.shape)}")
    return float((z * torch.exp(1j * angle)).sum().abs() / z.abs().sum())


def swap_modes(signals: Tensor, donors: Tensor, omegas: Sequence[Sequence[int]]) -> Tensor:
    r"""Signals whose coefficients at some frequencies are replaced by those of other signals.

    Args:
        signals: Shape `[samples, c, *grid]`.
        donors: Signals that give the coefficients, same shape.
        omegas: Frequency vectors, each taken together with its negative.

    Raises:
        ValueError: If the shapes differ or a frequency does not fit the grid.
    """
    if signals.shape != donors.shape:
        raise ValueError(f"shapes differ: {tuple(signals.shape)} and {tuple(donors.shape)}")
    axes = tuple(range(2, signals.ndim))
    swapped = torch.zeros(signals.shape[2:], dtype=torch.bool, device=signals.device)
    for omega in omegas:
        _check_frequency(omega, signals.shape[2:])
        swapped[tuple(omega)] = True
        swapped[tuple(-k for k in omega)] = True
    mixed = torch.where(
        swapped, torch.fft.fftn(donors, dim=axes), torch.fft.fftn(signals, dim=axes)
    )
    back: Tensor = torch.fft.ifftn(mixed, dim=axes).real
    return back


@torch.no_grad()
def kept_coordinates(layer: CircularConv, threshold: float) -> list[Coordinate]:
    r"""The left singular directions of a layer whose singular value exceeds a threshold.

    Returns:
        One coordinate per direction at a mode (a pair $\pm\omega$ counts once), lowest degree
        first, then the largest singular value. A direction is free up to a factor of modulus 1,
        which is real where $\omega=-\omega$.

    Raises:
        ValueError: If the threshold is negative or NaN.
    """
    check_positive("threshold", threshold, zero=True)
    freqs, blocks = frequencies(layer.grid), layer.modes()
    found: list[tuple[int, float, Coordinate]] = []
    for mode, block in zip(freqs.modes.tolist(), blocks, strict=True):
        own_mirror = int(freqs.multiplicity[mode]) == 1
        left, values, _ = singular_vectors(block.real if own_mirror else block)
        omega, degree = tuple(freqs.omega[mode].tolist()), int(freqs.degree[mode])
        for i in range(int((values > threshold).sum())):
            direction = left[:, i].to(blocks.dtype)
            found.append((degree, -float(values[i]), Coordinate(omega, direction)))
    return [coordinate for *_, coordinate in sorted(found, key=lambda entry: entry[:2])]


def with_coordinate(signals: Tensor, coordinate: Coordinate, values: Tensor) -> Tensor:
    r"""Signals with one coordinate set to given values, all else as it was.

    $\hat x(\omega)$ becomes $\hat x(\omega)+u\,(z-u^*\hat x(\omega))$, and $\hat x(-\omega)$ its
    conjugate.

    Args:
        signals: Shape `[samples, c, *grid]`.
        coordinate: Frequency and direction.
        values: $z$, complex or real, shape `[samples]`. Where $\omega=-\omega$ only real
            directions and values are coefficients of a real signal.

    Returns:
        Real signals of the same shape.

    Raises:
        ValueError: If there is not one value per signal, the frequency does not fit, or a
            coefficient would be complex where $\omega=-\omega$.

    Example:
        >>> constant = Coordinate((0,), torch.tensor([1 + 0j]))
        >>> with_coordinate(torch.ones(1, 1, 4), constant, torch.tensor([6.0]))
        tensor([[[3., 3., 3., 3.]]])
    """
    if values.shape != signals.shape[:1]:
        raise ValueError(f"{len(signals)} signals need as many values, got {tuple(values.shape)}")
    axes, omega = tuple(range(2, signals.ndim)), coordinate.omega
    old = coefficients(signals, omega)
    change = torch.outer(values - coordinate(signals), coordinate.direction)
    mirror = tuple(-k % n for k, n in zip(omega, signals.shape[2:], strict=True))
    x_hat = torch.fft.fftn(signals, dim=axes, norm="ortho")
    here: tuple[slice | int, ...] = (slice(None), slice(None), *omega)
    there: tuple[slice | int, ...] = (slice(None), slice(None), *mirror)
    if mirror == tuple(k % n for k, n in zip(omega, signals.shape[2:], strict=True)):
        if float(change.imag.abs().max()) > 1e-4 * float(1 + change.abs().max()):
            raise ValueError(f"coefficients at {omega} must be real, got complex ones")
        change = change.real
    x_hat[there] = (old + change).conj()
    x_hat[here] = old + change
    changed: Tensor = torch.fft.ifftn(x_hat, dim=axes, norm="ortho").real
    return changed
