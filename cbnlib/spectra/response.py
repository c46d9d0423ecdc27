"""Which input frequencies the output of a network, or of a part of it, depends on."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class FrequencyResponse:
    r"""How strongly an output depends on each input frequency.

    Attributes:
        grid: Pixels per axis of the input.
        values: The norm per mode, shape `[modes]`.
        exact: Whether all outputs were differentiated; if not, the values are estimates.
        standard_error: Of the values, shape `[modes]`; 0 if they are exact.
    """

    grid: tuple[int, ...]
    values: Tensor
    exact: bool
    standard_error: Tensor

    @property
    def frequencies(self) -> Tensor:
        """Frequency vectors of the modes, shape `[modes, axes]`."""
        raise NotImplementedError


def frequency_response(
    model: nn.Module,
    x: Tensor,
    *,
    layer: str | None = None,
    probes: int = 64,
    generator: torch.Generator | None = None,
) -> FrequencyResponse:
    r"""Which input frequencies the output depends on: the norm of $\partial f/\partial\hat x$.

    Args:
        model: Any network.
        x: Inputs, shape `[samples, channels, *grid]`.
        layer: The name of a part, as in `named_modules`: its output by its own input, both as they
            are when `x` goes through the network. None for the whole network.
        probes: How many backward passes at most. With no more outputs than that, the result is
            exact: one pass for each. Else it is an estimate from so many random directions.
        generator: Source of the directions.
    """
    raise NotImplementedError
