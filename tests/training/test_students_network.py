"""`train` trains the network that it is given, whatever its class: here a student's variants."""

import pytest
import torch
from torch import nn

from cbnlib import CNN, CircularConv, CNNConfig, TrainConfig, train

CONFIG = CNNConfig(8, 3, 4, gain=1.5)
TRAINING = TrainConfig(1e-2, 1e-2, 20, batch_size=16, records=20)
X = torch.randn(16, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class GELUNetwork(CNN):
    """Another nonlinearity in the place that is meant for it."""

    def activate(self, pre_activation):
        return nn.functional.gelu(pre_activation)


class TwiceNetwork(CNN):
    """Another output."""

    def forward(self, x):
        return 2 * super().forward(x)


class ScaledConv(CircularConv):
    """Another layer."""

    def forward(self, x):
        return 0.5 * super().forward(x)


def with_scaled_layer():
    model = CNN(CONFIG, seed=0)
    model.convs[1].__class__ = ScaledConv
    return model


class OwnNetwork(nn.Module):
    """No `CNN` at all."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        conv = nn.Conv1d(1, 3, 3, padding=1, padding_mode="circular")
        self.layers = nn.Sequential(conv, nn.GELU(), nn.Conv1d(3, 1, 1))

    def forward(self, x):
        return self.layers(x)


NETWORKS = {
    "GELU": lambda: GELUNetwork(CONFIG, seed=0),
    "another output": lambda: TwiceNetwork(CONFIG, seed=0),
    "another layer": with_scaled_layer,
    "no CNN": OwnNetwork,
    "a plain CNN": lambda: CNN(CONFIG, seed=0),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_history_is_that_of_a_plain_loop(name):
    history = train(NETWORKS[name]().double(), X, X, TRAINING, progress=False)
    model = NETWORKS[name]().double()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=2 * TRAINING.ridge)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, TRAINING.steps)
    losses = []
    for _ in range(TRAINING.steps):
        loss = (model(X) - X).square().sum() / len(X)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    torch.testing.assert_close(history.fit, losses, rtol=1e-6, atol=0)
