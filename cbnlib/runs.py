"""One run: a network trained on a task, with what it reached and what it cost."""

from dataclasses import dataclass

from cbnlib.loop import History
from cbnlib.model import CNN, CNNConfig
from cbnlib.tasks import Task
from cbnlib.train_config import TrainConfig
from cbnlib.training import evaluate, train


@dataclass(frozen=True, eq=False)
class Run:
    r"""A finished run.

    Attributes:
        network: What the network was made from.
        training: How it was trained; its seed drew the weights, too.
        model: The trained network.
        history: The course of the training.
        fit: The data term over the whole data set at the end.
        norm: $\lVert\theta\rVert^2$ at the end.
    """

    network: CNNConfig
    training: TrainConfig
    model: CNN
    history: History
    fit: float
    norm: float

    @property
    def loss(self) -> float:
        r"""What training minimises: $\mathrm{fit}+\lambda\lVert\theta\rVert^2$."""
        return self.fit + self.training.ridge * self.norm


def run_task(
    task: Task, network: CNNConfig, training: TrainConfig, *, progress: bool = True
) -> Run:
    """Draw a network, train it on a task and measure it on all of the task's data.

    Args:
        task: The data and the loss that goes with them.
        network: Sizes, head and initial gain; its grid must be the task's.
        training: Ridge, optimiser, schedule, steps, and the one seed of the run.
        progress: Whether to draw a progress bar.

    Raises:
        ValueError: If task, network and training do not fit together.
        TrainingDivergedError: If training fails; see `train`.
    """
    if training.loss != task.loss:
        raise ValueError(f"task {task.name!r} needs loss {task.loss!r}, got {training.loss!r}")
    model = CNN(network, seed=training.seed)
    history = train(model, task.x, task.y, training, progress=progress)
    fit = evaluate(model, task.x, task.y, loss=task.loss)
    return Run(network, training, model, history, fit, float(model.parameter_norm().detach()))
