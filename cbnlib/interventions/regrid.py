r"""Trained networks whose middle moves to another grid, and what layers cost there.

The blocks of a layer keep their values, and so their norms, wherever their frequencies fit on both
grids (S6). What changes are the pixels that the ReLUs act on. `compress` and `refine` go both ways
without any training. The data loss of the result has to be measured.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from cbnlib.interventions.surgery import layer_at
from cbnlib.network.frequencies import frequencies
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import CNN, CoarseStage
from cbnlib.spectra.bottleneck import KeptMode


def compress(model: CNN, layers: tuple[int, int], grid: int | Sequence[int]) -> CNN:
    r"""The same network with some layers on a coarser grid, between two spectral crops.

    The coarse layers have the blocks of the original ones at $\lvert\omega_i\rvert<n_i'/2$, zero at
    a Nyquist frequency of the coarse grid, and the same $\beta$. So norms per block stay. Without
    the ReLUs in between, frequencies that fit would pass exactly as before. But a ReLU acts on the
    pixels of the coarse grid, and the one after the last coarse layer makes no harmonics that are
    too high for it. What this changes has to be measured.

    Args:
        model: The network, all on one grid. It stays as it is.
        layers: First and last layer that become coarse, counted from 1.
        grid: Pixels per axis of the coarse grid, at most the network's.

    Returns:
        A network with `CoarseStage(grid, first, last, "crop")`.

    Raises:
        ValueError: If the network has a coarse stage already, its filters are smaller than the
            grid, or layers or grid do not fit.

    Source: S6.
    """
    if model.config.coarse is not None or model.config.window is not None:
        raise ValueError("only a network on one grid with full-size filters can be compressed")
    if len(layers) != 2:
        raise ValueError(f"layers must be the first and the last one, got {layers}")
    stage = CoarseStage(grid, *layers, method="crop")
    return _moved(model, stage, to=stage)


def refine(model: CNN) -> CNN:
    r"""The same network without its coarse stage, with all layers on the full grid.

    The layers that were coarse have the same blocks at $\lvert\omega_i\rvert<n_i'/2$, zero at all
    other frequencies, and the same $\beta$. So the norm is the same, but for what stood at the
    coarse grid's Nyquist frequency. Without ReLUs the function is the same, too. But a ReLU acts
    on more pixels now, and what this changes has to be measured.

    Args:
        model: A network with a coarse stage reached by spectral crop. It stays as it is.

    Returns:
        A network with the same config, except that `coarse` is None.

    Raises:
        ValueError: If there is no coarse stage, it is reached by another method, or the filters are
            smaller than the grid.

    Source: S6.

    Example:
        >>> from cbnlib import CNNConfig
        >>> coarse = CNN(CNNConfig(8, 3, 3, coarse=CoarseStage(5, 2, 2)), seed=0)
        >>> fine = refine(coarse)
        >>> [conv.grid for conv in fine.convs]
        [(8,), (8,), (8,)]
        >>> torch.isclose(fine.parameter_norm(), coarse.parameter_norm()).item()
        True
    """
    stage = model.config.coarse
    if stage is None or stage.method != "crop" or model.config.window is not None:
        raise ValueError(
            "only a network with a coarse stage between crops and full-size filters can be refined"
        )
    return _moved(model, stage, to=None)


def multiplications(model: CNN, layers: Sequence[int]) -> int:
    r"""Real multiplications by which layers with full-size filters act on one input.

    $c_{out}c_{in}$ times `Frequencies.products`. The transforms before and after are not counted.
    Their share is small if the channels are many.

    Args:
        model: The network.
        layers: Which layers, counted from 1.

    Raises:
        ValueError: If there is no such layer.

    Example:
        >>> from cbnlib import CNNConfig
        >>> model = CNN(CNNConfig(grid=16, width=3, depth=3), seed=0)
        >>> multiplications(model, [2])  # 9 (1 + 7·4 + 1)
        270
    """
    return sum(
        conv.c_out * conv.c_in * frequencies(conv.grid).products
        for conv in (layer_at(model, layer) for layer in layers)
    )


def factored_multiplications(model: CNN, layers: Sequence[int], modes: Sequence[KeptMode]) -> int:
    r"""Real multiplications of layers that have these modes only, with their blocks in two factors.

    A block with $r$ directions is a product of a $c_{out}\times r$ and an $r\times c_{in}$ matrix.
    So it takes $r(c_{in}+c_{out})$ products where that is fewer than $c_{out}c_{in}$. Each counts
    $m^2$ as in `Frequencies.products`. Blocks that are 0 take none. The function stays the same.

    Args:
        model: The network.
        layers: Which layers, counted from 1.
        modes: All that is left in them, see `keep_modes`.

    Raises:
        ValueError: If there is no such layer.

    Example:
        >>> from cbnlib import CNNConfig
        >>> model = CNN(CNNConfig(grid=16, width=3, depth=3), seed=0)
        >>> kept = [KeptMode((0,), 1, 1), KeptMode((1,), 2, 1)]
        >>> factored_multiplications(model, [2], kept)  # (3 + 3) (1 + 4)
        30
    """
    sizes = [(conv.c_in, conv.c_out) for conv in (layer_at(model, layer) for layer in layers)]
    return sum(
        mode.multiplicity**2 * min(mode.directions * (c_in + c_out), c_in * c_out)
        for c_in, c_out in sizes
        for mode in modes
    )


def _moved(model: CNN, stage: CoarseStage, *, to: CoarseStage | None) -> CNN:
    """The network with the layers of a stage moved to it, or away from it."""
    moved = CNN(replace(model.config, coarse=to), seed=0).to(next(model.parameters()))
    own = moved.state_dict()
    same = {k: v for k, v in model.state_dict().items() if v.shape == own[k].shape}
    moved.load_state_dict({**own, **same})
    for layer in range(stage.first, stage.last + 1):
        _crop_blocks(layer_at(model, layer), layer_at(moved, layer))
    return moved


def _crop_blocks(source: CircularConv, target: CircularConv) -> None:
    """Copy the blocks at the frequencies below both grids' Nyquist, and set all others to zero."""
    omega, grids = frequencies(target.grid).omega, torch.tensor([source.grid, target.grid])
    fits = (2 * omega.abs() < grids.amin(dim=0)).all(dim=1)
    rows = frequencies(source.grid).rows(omega[fits])
    half, shape = source.blocks(), target.blocks().shape
    blocks = half.new_zeros(*shape[:2], len(omega))
    blocks[..., fits] = half.flatten(2)[..., rows]
    target.set_blocks(blocks.reshape(shape))
