r"""The measured bottleneck, the layers that keep the same few modes, by one rule for all networks.

Near the least norm, a layer in the bottleneck has a few singular values near 1 and all others near
0 (S4). The rule looks for such layers. Their values are first cut off at both ends,
$\bar\sigma=\min(\max(\sigma,\tfrac14),1)$. A mode above 1 passes for sure and one below $\tfrac14$
is gone, whatever the differences there. The middle of what is left, on a logarithmic scale, is
$\tfrac12$.

1. For every run of at least 2 consecutive layers, pool all $\bar\sigma$ and cut at the largest
   ratio of neighbours, $\bar\sigma_{(j)}/\bar\sigma_{(j+1)}$. A mode is *kept* where its
   singular value exceeds the cut $\sqrt{\bar\sigma_{(j)}\bar\sigma_{(j+1)}}$.
2. The run qualifies if that ratio is at least $\tfrac32$ and no layer keeps more than half of its
   real dimensions. Every layer must keep the same modes, at least one (the same frequencies, with
   equally many channel directions).
3. The bottleneck is the longest run that qualifies. Of equally long ones, it is the one with the
   larger ratio (then the first).

The constants are the same for all tasks. The setting chapter's rule "kept above $\tfrac12$" is the
cut wherever there are no singular values between $\tfrac14$ and 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from cbnlib._checks import check_positive, check_type
from cbnlib.spectra.spectrum import Spectrum

GONE, PASSED = 0.25, 1.0

SMALLEST_GAP = 1.5
LARGEST_SHARE = 0.5
SHORTEST_RUN = 2


@dataclass(frozen=True)
class KeptMode:
    r"""A frequency that layers keep.

    Attributes:
        omega: Frequency vector, of a pair $\pm\omega$ the member that `Spectrum.omega` lists.
        multiplicity: Real dimensions of one channel direction, 1 if $\omega=-\omega$, else 2.
        directions: Channel directions kept at this frequency.
    """

    omega: tuple[int, ...]
    multiplicity: int
    directions: int

    @property
    def real_dimensions(self) -> int:
        """Real dimensions of all directions together."""
        return self.multiplicity * self.directions

    @property
    def name(self) -> str:
        """The frequency, as `DC`, `±1`, `±(1,2)`, or `8` for a Nyquist frequency."""
        text = ",".join(map(str, self.omega))
        text = f"({text})" if len(self.omega) > 1 else text
        sign = "±" if self.multiplicity == 2 else ""
        return sign + text if any(self.omega) else "DC"

    def __str__(self) -> str:
        """The frequency and the directions, as `±1×2`."""
        return f"{self.name}×{self.directions}"


@dataclass(frozen=True)
class Bottleneck:
    """Result of `measure_bottleneck`. `str()` gives one line.

    Attributes:
        layers: First and last layer of the bottleneck, counted from 1. None if there is none.
        modes: The modes that each of its layers keeps, lowest degree first.
        gap: Smallest kept and largest other singular value in these layers. NaN if there are none.
        threshold: The cut between them. NaN if there are no layers.
        stable: The widest range of thresholds, low to just below high, at which these layers and
            neither of the two next to them keep exactly these modes. It lies within the gap. NaN
            if there is none. (A neighbour may keep the same modes with too small a gap.)
    """

    layers: tuple[int, int] | None = None
    modes: tuple[KeptMode, ...] = ()
    gap: tuple[float, float] = (math.nan, math.nan)
    threshold: float = math.nan
    stable: tuple[float, float] = (math.nan, math.nan)

    @property
    def real_dimensions(self) -> int:
        """Real dimensions that the bottleneck keeps, 0 if there is none."""
        return sum(mode.real_dimensions for mode in self.modes)

    def __str__(self) -> str:
        """Layers, modes and real dimensions, or `no bottleneck`."""
        if self.layers is None:
            return "no bottleneck"
        first, last = self.layers
        listed, size = ", ".join(map(str, self.modes)), self.real_dimensions
        return f"layers {first}–{last}: {listed} → {size} real dim{'s' * (size != 1)}"


def kept_modes(spectrum: Spectrum, threshold: float) -> tuple[KeptMode, ...]:
    """The modes of one layer with a singular value above `threshold`, lowest degree first.

    Frequencies are integer vectors, so layers on different grids can be compared. A coarse grid's
    Nyquist frequency, with multiplicity 1, is another mode than the pair of the finer grid.

    Raises:
        ValueError: If the threshold is negative or NaN.
    """
    check_positive("threshold", threshold, zero=True)
    directions = (spectrum.values > threshold).sum(dim=1)
    rows = directions.nonzero().squeeze(1).tolist()
    omega, multiplicity = spectrum.omega.tolist(), spectrum.multiplicity.tolist()
    modes = [KeptMode(tuple(omega[i]), multiplicity[i], int(directions[i])) for i in rows]
    return tuple(sorted(modes, key=lambda mode: (sum(map(abs, mode.omega)), mode.omega)))


def measure_bottleneck(spectra: Sequence[Spectrum]) -> Bottleneck:
    """Find the layers that keep the same few modes, and these modes, by the rule of the module.

    Args:
        spectra: One spectrum per convolution, first layer first, as from `weight_spectra`. Their
            grids may differ. Singular values are those of the operators, so that 1 means "passes
            unchanged".

    Returns:
        The bottleneck. Its `layers` are None if no run of layers qualifies.

    Raises:
        ValueError: If there is no spectrum, or the numbers of axes differ.

    Example:
        Four layers: the first and last are full, the middle ones keep the constant and ±1.

        >>> full = Spectrum((8,), torch.ones(5, 2))
        >>> narrow = Spectrum((8,), torch.tensor([[0.9, 0], [1.1, 0.1], [0, 0], [0, 0], [0, 0]]))
        >>> print(measure_bottleneck([full, narrow, narrow, full]))
        layers 2–3: DC×1, ±1×1 → 3 real dims
        >>> print(measure_bottleneck([full, full, full]))
        no bottleneck
    """
    _check(spectra)
    for length in range(len(spectra), SHORTEST_RUN - 1, -1):
        found: list[tuple[float, float, int]] = []
        for start in range(len(spectra) - length + 1):
            layers = spectra[start : start + length]
            ratio, cut = _largest_gap(layers)
            if _qualifies(layers, ratio, cut):
                found.append((ratio, cut, start))
        if found:
            _, cut, start = max(found, key=lambda run: run[0])
            return _describe(spectra, (start + 1, start + length), cut)
    return Bottleneck()


def _check(spectra: Sequence[Spectrum]) -> None:
    if not spectra:
        raise ValueError("spectra must hold at least one layer")
    for spectrum in spectra:
        check_type("spectrum", spectrum, Spectrum)
    if len({len(spectrum.grid) for spectrum in spectra}) > 1:
        raise ValueError(f"grids must have equally many axes: {[s.grid for s in spectra]}")


def _largest_gap(layers: Sequence[Spectrum]) -> tuple[float, float]:
    """Largest ratio of neighbours among the pooled, cut-off values, and the cut in its middle."""
    pooled = torch.cat([s.values.flatten().double().cpu() for s in layers])
    ends = torch.tensor([GONE, PASSED], dtype=torch.float64)
    sigma = torch.cat([ends, pooled.clamp(GONE, PASSED)]).sort()[0]
    ratios = sigma[1:] / sigma[:-1]
    j = int(ratios.argmax())
    return float(ratios[j]), float((sigma[j] * sigma[j + 1]).sqrt())


def _qualifies(layers: Sequence[Spectrum], ratio: float, cut: float) -> bool:
    if ratio < SMALLEST_GAP:
        return False
    modes = kept_modes(layers[0], cut)
    if not modes or any(kept_modes(s, cut) != modes for s in layers[1:]):
        return False
    return all(
        s.real_dimensions(cut) <= LARGEST_SHARE * s.operator_values().numel() for s in layers
    )


def _describe(spectra: Sequence[Spectrum], layers: tuple[int, int], cut: float) -> Bottleneck:
    first, last = layers
    gaps = [s.gap(cut) for s in spectra[first - 1 : last]]
    gap = (min(kept for kept, _ in gaps), max(other for _, other in gaps))
    modes = kept_modes(spectra[first - 1], cut)
    neighbours = [spectra[i] for i in (first - 2, last) if 0 <= i < len(spectra)]
    return Bottleneck(layers, modes, gap, cut, _stable_range(neighbours, modes, gap))


def _stable_range(
    neighbours: Sequence[Spectrum], modes: tuple[KeptMode, ...], gap: tuple[float, float]
) -> tuple[float, float]:
    """Widest range within the gap in which no neighbour keeps exactly these modes."""
    high, low = gap
    values = {float(v) for s in neighbours for v in s.values.flatten() if low < v < high}
    best, start = (math.nan, math.nan), math.nan
    for this, after in pairwise(sorted({low, high, *values})):
        if any(kept_modes(s, this) == modes for s in neighbours):
            start = math.nan
            continue
        start = this if math.isnan(start) else start
        if math.isnan(best[0]) or after - start > best[1] - best[0]:
            best = (start, after)
    return best
