"""Layers and networks in float64 with random weights and biases, for every kind of grid."""

from collections.abc import Callable
from typing import Any

import torch
from oracles import GRIDS, rng
from torch import nn

from cbnlib import CNN, CircularConv, CNNConfig

WINDOWED = [((5,), 3), ((6,), 4), ((6,), (2,)), ((4, 5), 3), ((5, 4), (2, 4)), ((4, 4), (4, 1))]
LAYERS = [(grid, None) for grid in GRIDS] + WINDOWED


class Net(nn.Module):
    """Modules, and a function of them and the input."""

    def __init__(self, forward: Callable[[nn.Module, Any], Any], **modules: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def random_layer(grid: Any, window: Any, c_in: int = 2, c_out: int = 3) -> CircularConv:
    layer = CircularConv(c_in, c_out, grid, window=window, generator=rng()).double()
    with torch.no_grad():
        nn.init.normal_(layer.bias, generator=rng(1))  # type: ignore[arg-type]
    return layer


def random_network(seed: int = 0, **config: Any) -> CNN:
    model = CNN(CNNConfig(**{"width": 3, "depth": 3, "gain": 2.0} | config), seed=seed).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(parameter, generator=rng(seed))
    return model


def parameters(model: nn.Module) -> torch.Tensor:
    """All parameters in one vector."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])
