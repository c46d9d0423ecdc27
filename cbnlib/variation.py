r"""Varying what a layer kept: its singular directions as dials, one complex number each.

A kept direction of $W_\ell$ at $\omega$ has a left singular vector $u$. What it contributes to
$\hat{\tilde\alpha}_\ell(\omega)$ is the number $z=u^*\hat{\tilde\alpha}_\ell(\omega)$ along $u$.
Setting $z$ to another value and running the remaining layers shows what it encodes.
"""

import torch
from torch import Tensor

from cbnlib.checks import check_positive
from cbnlib.frequencies import frequencies
from cbnlib.layers import CircularConv
from cbnlib.phases import Coordinate, coefficients
from cbnlib.spectra import singular_vectors


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
    freqs, blocks = frequencies(layer.grid), layer.blocks().flatten(2).permute(2, 0, 1)
    found: list[tuple[int, float, Coordinate]] = []
    for mode in freqs.modes.tolist():
        own_mirror = int(freqs.multiplicity[mode]) == 1
        block = blocks[mode].real if own_mirror else blocks[mode]
        left, values, _ = singular_vectors(block)
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
