r"""Budgets of the Fourier modes that a network's middle may carry, and training within them.

A *budget* $B$ allows $B(\omega)$ channel directions at each mode. $\Theta_B$ are the networks with
$\mathrm{rank}\,\hat W_\ell(\omega)\le B(\omega)$ in the layers $a\le\ell\le b$. Training in
$\Theta_B$ is projected descent. These layers have blocks at the allowed modes alone, and every few
steps each block becomes its nearest matrix of rank $B(\omega)$.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cbnlib._checks import check_count, check_grid, check_positive, hold
from cbnlib.network.frequencies import Vector, frequencies, signed_frequency
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import CNN
from cbnlib.network.real_dft import RealDFT
from cbnlib.spectra._svd import singular_vectors
from cbnlib.spectra.bottleneck import KeptMode
from cbnlib.spectra.spectrum import KEPT, Spectrum
from cbnlib.training.engine import FewModes, obstacle

_ITEM = re.compile(r"\s*(±?)\s*(DC|[-+]?\d+|\([-+\d\s,]+\))\s*(?:[×x*]\s*(\d+))?\s*(?:,|$)")


@dataclass(frozen=True)
class Budget:
    r"""How many channel directions a network may carry at each mode.

    Modes that are not named have none. The empty budget is allowed. Then nothing of the input
    passes, and the output cannot depend on it.

    Example:
        >>> budget = Budget.parse("±(1,0)×2, DC×3, ±(0,1)×2, ±(1,1)", (14, 14))
        >>> print(budget)
        DC×3, ±(0,1)×2, ±(1,0)×2, ±(1,1)×1
        >>> budget.dimensions, budget.by_degree
        (13, {0: 3, 1: 4, 2: 1})
    """

    grid: tuple[int, ...]
    """Pixels per axis."""
    directions: Mapping[Vector, int]
    """Directions by frequency, one of each pair. Stored in the order of the text, with the first
    entry that is not 0 positive, and without zeros."""

    def __post_init__(self) -> None:
        """Check every frequency, and bring them into the one order.

        Raises:
            ValueError: If a frequency is outside the grid or named twice, also by its conjugate, or
                a number of directions is negative.
        """
        grid = check_grid(self.grid)
        hold(self, grid=grid, directions=_by_mode(self.directions.items(), grid))

    @classmethod
    def parse(cls, text: str, grid: int | Sequence[int]) -> "Budget":
        """Read a budget from its text.

        Args:
            text: Modes with their numbers of directions, as `DC×3, ±(1,0)×2` or, on a circle,
                `DC, ±1×2`. `x` and `*` stand for `×`, and without them a mode has one direction.
                `nothing` is the empty budget.
            grid: Pixels per axis.

        Raises:
            ValueError: If the text is no budget, or as on construction.
        """
        sizes, found, place = check_grid(grid), list[tuple[Vector, int]](), 0
        if text.strip() in ("", "nothing"):
            return cls(sizes, {})
        while place < len(text):
            item = _ITEM.match(text, place)
            if item is None:
                raise ValueError(
                    f"cannot read the budget {text!r} from {text[place:]!r} on: write it as "
                    "'DC×3, ±(1,0)×2' in the plane, 'DC×1, ±1×1' on a circle"
                )
            name = item[2]
            entries = re.findall(r"[-+]?\d+", name)
            omega = (0,) * len(sizes) if name == "DC" else tuple(map(int, entries))
            found.append((omega, int(item[3] or 1)))
            place = item.end()
        return cls(sizes, _by_mode(found, sizes))  # a plain dict would lose what is named twice

    @classmethod
    def of(cls, spectra: Iterable[Spectrum], threshold: float = KEPT) -> "Budget":
        """Budget that layers use, at each mode the most directions that one of them keeps.

        Args:
            spectra: Spectra of the layers.
            threshold: A direction is kept if its singular value exceeds this.

        Raises:
            ValueError: If there is no layer, or their grids differ.
        """
        layers = list(spectra)
        if len({s.grid for s in layers}) != 1:
            raise ValueError(f"need layers of one grid, got {[s.grid for s in layers]}")
        kept = torch.stack([(s.values > threshold).sum(dim=1) for s in layers]).amax(dim=0)
        omega, grid = layers[0].omega.tolist(), layers[0].grid
        return cls(grid, {tuple(w): int(k) for w, k in zip(omega, kept, strict=True) if k})

    @property
    def ranks(self) -> Tensor:
        """Directions at every mode, in the order of `Frequencies.modes`."""
        freqs = frequencies(self.grid)
        at_modes = freqs.omega[freqs.modes].tolist()
        return torch.tensor([self.directions.get(mode_of(w, self.grid), 0) for w in at_modes])

    @property
    def modes(self) -> list[KeptMode]:
        """The modes that have directions, lowest degree first."""
        return [_mode(omega, self.grid, count) for omega, count in self.directions.items()]

    @property
    def dimensions(self) -> int:
        r"""$\dim B=\sum m(\omega)B(\omega)$, the real dimensions that it allows."""
        return sum(mode.real_dimensions for mode in self.modes)

    @property
    def by_degree(self) -> dict[int, int]:
        """Directions by degree. A pair counts once per direction."""
        counts = Counter[int]()
        for omega, count in self.directions.items():
            counts[degree_of(omega)] += count
        return dict(counts)

    def changed(self, omega: Sequence[int], by: int) -> "Budget":
        """The budget with more or fewer directions at one mode.

        Raises:
            ValueError: If the frequency is outside the grid, or fewer than 0 would be left.
        """
        mode = _checked(omega, self.grid)
        return Budget(self.grid, {**self.directions, mode: self.directions.get(mode, 0) + by})

    def __str__(self) -> str:
        return ", ".join(map(str, self.modes)) or "nothing"

    def __hash__(self) -> int:
        return hash((self.grid, str(self)))


def _by_mode(named: Iterable[tuple[Vector, int]], grid: tuple[int, ...]) -> dict[Vector, int]:
    """Check each named mode and return the directions in the one order, without zeros."""
    found: dict[Vector, tuple[Vector, int]] = {}
    for omega, count in named:
        mode = _checked(omega, grid)
        name = _mode(mode, grid).name
        check_count(f"directions at {name}", count, minimum=0)
        if mode in found:
            also = found[mode][0]
            how = "twice" if also == omega else f"twice, as {also} and as {tuple(omega)}"
            raise ValueError(f"a budget names {name} {how}")
        found[mode] = (tuple(omega), count)
    order = sorted(found, key=lambda mode: (degree_of(mode), mode))
    return {mode: count for mode in order if (count := found[mode][1])}


def _checked(omega: Sequence[int], grid: tuple[int, ...]) -> Vector:
    """The representative of a pair, if the frequency is one of the grid's."""
    if len(omega) != len(grid):
        raise ValueError(f"a frequency on grid {grid} has as many axes, got {omega}")
    if any(2 * abs(k) > n for k, n in zip(omega, grid, strict=True)):
        raise ValueError(f"the frequency {tuple(omega)} is outside the grid {grid}")
    return mode_of(omega, grid)


def mode_of(omega: Sequence[int], grid: tuple[int, ...]) -> Vector:
    r"""The representative of a pair $\pm\omega$, whose first entry that is not 0 is positive."""
    here, there = (signed_frequency([s * k for k in omega], grid) for s in (1, -1))
    return max(here, there)


def _mode(omega: Vector, grid: tuple[int, ...], directions: int = 0) -> KeptMode:
    own_mirror = all(2 * k % n == 0 for k, n in zip(omega, grid, strict=True))
    return KeptMode(omega, 1 if own_mirror else 2, directions)


def degree_of(omega: Vector) -> int:
    r"""$\sum_i\lvert\omega_i\rvert$."""
    return sum(map(abs, omega))


KICK = 0.1
"""Scale of the random blocks that are added at all modes when a budget is released, relative to
those at initialisation."""

EVERY = 4
"""Steps from one projection to the next."""

SHRINK_EVERY = 10
"""Steps from one shrinking to the next, which changes all modes and so costs more."""


class Confinement:
    r"""Hold layers of a network to a budget, by projection, and let them go.

    Attributes:
        few: Replacement of each layer while it is held, by the layer's number.
    """

    def __init__(self, model: CNN, budget: Budget, layers: tuple[int, int]) -> None:
        """Cut the layers to their nearest weights within the budget.

        Args:
            model: The network, changed in place.
            budget: Directions that its layers may carry.
            layers: The first and the last one that it holds, counted from 1.

        Raises:
            TypeError: If the network is not a plain `CNN`, see `cbnlib.training.engine.obstacle`.
            ValueError: If there are no such layers, one of them has filters smaller than its grid,
                another grid than the budget, or fewer channels than the budget has directions.
        """
        if reason := obstacle(model):
            raise TypeError(f"a budget needs a plain CNN: {reason}")
        first, _ = layers
        self.model = model
        self.few: dict[int, FewModes] = {}
        for i, conv in enumerate(middle_of(model, layers), start=first):
            _check_layer(i, conv, budget)
            self.few[i] = FewModes(conv, _rows(conv.grid, budget))
        dft = self.few[first].dft  # the same for all: they are on one grid
        allowed = [budget.directions.get(mode_of(w, budget.grid), 0) for w in dft.omega.tolist()]
        self._ranks = torch.tensor(allowed).tensor_split([dft.pairs])
        self.project()
        self.write()

    @torch.no_grad()
    def project(self) -> None:
        r"""Make each block its nearest one of rank $B(\omega)$."""
        of_shape: dict[torch.Size, list[FewModes]] = {}
        for few in self.few.values():
            of_shape.setdefault(few.weight.shape, []).append(few)
        for layers in of_shape.values():  # together, as calls of the library cost more than it does
            stacked = map(torch.stack, zip(*(few.blocks() for few in layers), strict=True))
            nearest = [_of_rank(b, r) for b, r in zip(stacked, self._ranks, strict=True)]
            for few, *blocks in zip(layers, *nearest, strict=True):
                few.set_blocks(*blocks)

    @torch.no_grad()
    def align(self) -> None:
        """Let each held layer but the first read the directions that the one before writes.

        Random layers of low rank read at random. The next one loses almost all that one of them
        writes, and training from there often ends at a constant output.
        """
        written: list[Tensor] = []
        for few in self.few.values():
            factors = [singular_vectors(blocks) for blocks in few.blocks()]
            reads = written or [vh.mH for *_, vh in factors]
            few.set_blocks(*(_joined(u, s, v) for (u, s, _), v in zip(factors, reads, strict=True)))
            written = [u for u, *_ in factors]
        self.project()

    @torch.no_grad()
    def grow(self, seed: int) -> None:
        """Add random directions where the layers use fewer than the budget allows.

        Each new direction is a unit vector that the held layers hand on with singular value 1, as
        an identity would. A small one in every layer would be tiny in their product, and the ridge
        would remove it.
        """
        generator, before = torch.Generator().manual_seed(seed), list[Tensor]()
        for few in self.few.values():
            after, grown = [], []
            for k, (blocks, ranks) in enumerate(zip(few.blocks(), self._ranks, strict=True)):
                u, s, vh = singular_vectors(blocks)
                used = (s > KEPT) & (torch.arange(s.shape[1]) < ranks.unsqueeze(1))
                new = torch.arange(s.shape[1]) < (ranks - used.sum(dim=1)).unsqueeze(1)
                out = _outside(_random(u, generator), u * used.unsqueeze(1))
                start = before[k] if before else _random(vh.mH, generator)
                read = _outside(start, vh.mH * used.unsqueeze(1))
                grown.append(_joined(u, s * used, vh.mH) + _joined(out, new.to(s), read))
                after.append(out)
            few.set_blocks(*grown)
            before = after
        self.project()

    def write(self) -> None:
        """Write the blocks into the network."""
        for few in self.few.values():
            few.write()

    @torch.no_grad()
    def release(self, seed: int) -> None:
        """Add small random blocks to all convolutions, at all modes."""
        drawn = CNN(self.model.config, seed=seed)
        for conv, noise in zip(self.model.convs, drawn.convs, strict=True):
            conv.weight.add_(noise.weight.to(conv.weight), alpha=KICK)


@torch.no_grad()
def shrink(layers: Iterable[CircularConv], amount: float) -> None:
    r"""Lower all singular values of layers, to 0 at the least, in place.

    It is the proximal step of the nuclear norm, $U\max(S-a,0)V^*$ at every mode. Small values
    become 0, so a network that needs few modes loses the others.

    Args:
        layers: Circular convolutions with filters as large as their grid.
        amount: $a\ge0$.

    Raises:
        ValueError: If the amount is negative or not finite.

    Source: J.-F. Cai, E. Candès and Z. Shen, A Singular Value Thresholding Algorithm for Matrix
    Completion, SIAM Journal on Optimization (2010).

    Example:
        >>> layer = CircularConv(1, 1, grid=2)
        >>> layer.set_modes(torch.tensor([[[3.0]], [[0.5]]]))
        >>> shrink([layer], 1)
        >>> layer.modes().real.flatten().round(decimals=4).tolist()
        [2.0, 0.0]
    """
    check_positive("amount", amount, zero=True)
    for conv in layers:
        u, s, vh = singular_vectors(conv.modes())
        conv.set_modes(_joined(u, (s - amount).clamp(min=0), vh.mH))


def _check_layer(i: int, conv: CircularConv, budget: Budget) -> None:
    if conv.grid != budget.grid:
        raise ValueError(f"a budget on grid {budget.grid} cannot hold layer {i} on {conv.grid}")
    channels = min(conv.c_in, conv.c_out)
    for mode in budget.modes:
        if mode.directions > channels:
            raise ValueError(f"layer {i} has {channels} channels, too few for {mode}")


def middle_of(model: CNN, layers: tuple[int, int]) -> list[CircularConv]:
    """Some layers of a network, whose filters must be as large as their grid.

    Args:
        model: The network.
        layers: The first and the last one, counted from 1.

    Raises:
        ValueError: If there are no such layers, or one has smaller filters.
    """
    first, last = layers
    if not 1 <= first <= last <= len(model.convs):
        raise ValueError(f"the layers must lie in 1..{len(model.convs)}, got {layers}")
    convs = list(model.convs[first - 1 : last])
    for i, conv in enumerate(convs, start=first):
        if conv.window != conv.grid:
            raise ValueError(f"layer {i} has filters of size {conv.window}, smaller than its grid")
    return convs


def _rows(grid: tuple[int, ...], budget: Budget) -> Tensor:
    """The modes of a budget and the constant one among those of the transform."""
    wanted = {*budget.directions, (0,) * len(grid)}
    modes = (mode_of(omega, grid) for omega in RealDFT(grid).omega.tolist())
    return torch.tensor([i for i, mode in enumerate(modes) if mode in wanted])


def _of_rank(blocks: Tensor, ranks: Tensor) -> Tensor:
    """The nearest matrices of these ranks."""
    if not blocks.numel() or bool((ranks >= min(blocks.shape[-2:])).all()):
        return blocks
    u, s, vh = singular_vectors(blocks)
    kept = torch.arange(s.shape[-1]) < ranks.unsqueeze(1)
    return _joined(u, s * kept.to(s), vh.mH)


def _joined(u: Tensor, s: Tensor, v: Tensor) -> Tensor:
    r"""$USV^*$ with as many directions as both sides have."""
    count = min(u.shape[-1], v.shape[-1])
    joined: Tensor = (u[..., :count] * s[..., None, :count]) @ v[..., :count].mH
    return joined


def _random(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random entries, the same for every dtype."""
    parts = (torch.randn(like.shape, generator=generator, dtype=torch.float64) for _ in range(2))
    real, imaginary = parts
    return (torch.complex(real, imaginary) if like.is_complex() else real).to(like.dtype)


def _outside(vectors: Tensor, span: Tensor) -> Tensor:
    """Orthonormal columns, orthogonal to those of `span`, which are orthonormal or 0."""
    orthonormal: Tensor = torch.linalg.qr(vectors - span @ (span.mH @ vectors))[0]
    return orthonormal


def start_within(model: CNN, budget: Budget, layers: tuple[int, int], *, grow: int | None) -> None:
    """Prepare a network for training within a budget, in place.

    Args:
        model: The network.
        budget: Directions that its layers may carry.
        layers: The first and the last one that it holds, counted from 1.
        grow: None for a network that was just drawn. Its held layers are aligned. A seed for one
            that was trained before. Directions that it lacks are added at random.

    Raises:
        TypeError: As `Confinement`.
        ValueError: As `Confinement`.
    """
    held = Confinement(model, budget, layers)
    held.align() if grow is None else held.grow(grow)
    held.write()
