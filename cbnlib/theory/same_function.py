r"""Wider and deeper networks of the same function.

A hidden channel that no layer reads changes nothing, and neither does an identity layer behind a
ReLU. Both leave the function exactly as it is, so they show what its cost and its stability owe to
the weights alone.
"""

from dataclasses import replace

import torch

from cbnlib._checks import check_count, check_type
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import CNN

KICK = 0.1
"""Scale of the random blocks by which spare channels read, relative to a new network's."""


@torch.no_grad()
def widened(model: CNN, width: int, *, seed: int | None = None) -> CNN:
    """The network with spare hidden channels, which no other channel reads.

    Args:
        model: A network with full-size filters on one grid.
        width: Channels of the hidden layers, at least as many as it has.
        seed: None leaves the spare channels at zero, where gradient descent would leave them, too.
            A seed lets each of them read every channel by small random blocks.

    Returns:
        A new network of the same function and dtype. Its squared norm is larger by that of the
        random blocks.

    Raises:
        TypeError: If it is not a `CNN`.
        ValueError: If it has filters with a window or a coarse stage, or the width is too small.

    Example:
        >>> from cbnlib import CNNConfig
        >>> model, x = CNN(CNNConfig(8, width=2, depth=3), seed=0), torch.ones(1, 1, 8)
        >>> bool((widened(model, 5, seed=1)(x) - model(x)).abs().max() < 1e-6)
        True
    """
    _check_plain(model)
    check_count("width", width, minimum=model.config.width)
    wider = CNN(replace(model.config, width=width), seed=seed or 0).to(_dtype(model))
    for new, old in zip(wider.convs, model.convs, strict=True):
        blocks = new.blocks() * (0.0 if seed is None else KICK)
        blocks[: old.c_out] = 0
        blocks[: old.c_out, : old.c_in] = old.blocks()
        new.set_blocks(blocks)
        if new.bias is not None and old.bias is not None:
            new.bias[: old.c_out] = old.bias
    if wider.dense is not None and model.dense is not None:
        wider.dense.weight.zero_()
        wider.dense.weight[:, : model.config.width] = model.dense.weight
        if model.dense.bias is not None:
            wider.dense.bias.copy_(model.dense.bias)
    return wider


@torch.no_grad()
def deepened(model: CNN, depth: int) -> CNN:
    r"""The network with identity layers put in behind its middle layer, $\lfloor L/2\rfloor$.

    What they receive is not negative, so neither they nor their ReLUs change it. Each costs as
    much as its channels have pixels. Training takes away the parts that nothing passes through.

    Args:
        model: A network with full-size filters on one grid, and a hidden layer.
        depth: $L$ of the result, at least that of the network.

    Raises:
        TypeError: If it is not a `CNN`.
        ValueError: If it has filters with a window, a coarse stage or no hidden layer, or the depth
            is too small.

    Example:
        >>> from cbnlib import CNNConfig
        >>> model, x = CNN(CNNConfig(8, width=2, depth=3), seed=0), torch.ones(1, 1, 8)
        >>> bool((deepened(model, 6)(x) - model(x)).abs().max() < 1e-6)
        True
    """
    _check_plain(model)
    if model.config.depth < 2:
        raise ValueError("a network of one layer has no hidden layer to put identities behind")
    more = check_count("depth", depth, minimum=model.config.depth) - model.config.depth
    deeper = CNN(replace(model.config, depth=depth), seed=0).to(_dtype(model))
    behind = model.config.depth // 2
    for i, new in enumerate(deeper.convs):
        if behind <= i < behind + more:
            _make_identity(new)
        else:
            old = model.convs[i if i < behind else i - more]
            new.load_state_dict(old.state_dict())
    if deeper.dense is not None and model.dense is not None:
        deeper.dense.load_state_dict(model.dense.state_dict())
    return deeper


def _make_identity(conv: CircularConv) -> None:
    blocks = conv.blocks()
    identity = torch.eye(conv.c_out).to(blocks).reshape(conv.c_out, -1, *(1 for _ in conv.grid))
    conv.set_blocks(identity.expand_as(blocks))
    if conv.bias is not None:
        conv.bias.zero_()


def _dtype(model: CNN) -> torch.dtype:
    return next(model.parameters()).dtype


def _check_plain(model: CNN) -> None:
    config = check_type("model", model, CNN).config
    if config.window is not None or config.coarse is not None:
        raise ValueError(
            "only networks with full-size filters on one grid, got "
            f"window {config.window}, coarse stage {config.coarse}"
        )
