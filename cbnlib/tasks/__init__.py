"""The tasks of the book, which are data that vary in a known way, with targets."""

from collections.abc import Callable

from cbnlib._checks import check_choice
from cbnlib.tasks.base import Task
from cbnlib.tasks.bump import bump, bumps_at, reshaped_bump
from cbnlib.tasks.digits import digits
from cbnlib.tasks.filtered_noise import filtered_noise
from cbnlib.tasks.low_pass import low_pass
from cbnlib.tasks.mnist import mnist
from cbnlib.tasks.motion import motion, trajectories
from cbnlib.tasks.shape_texture import random_factors, shape_texture, shape_times_texture

__all__ = [
    "TASKS",
    "Task",
    "bump",
    "bumps_at",
    "digits",
    "filtered_noise",
    "load_task",
    "low_pass",
    "mnist",
    "motion",
    "random_factors",
    "reshaped_bump",
    "shape_texture",
    "shape_times_texture",
    "trajectories",
]

TASKS: dict[str, Callable[..., Task]] = {
    "bump": bump,
    "digits": digits,
    "filtered_noise": filtered_noise,
    "low_pass": low_pass,
    "mnist": mnist,
    "motion": motion,
    "reshaped_bump": reshaped_bump,
    "shape_texture": shape_texture,
}
"""Every task by name."""


def load_task(name: str, **options: object) -> Task:
    """Make a task by its name, with its own options.

    Raises:
        ValueError: If there is no such task. The message lists those there are.

    Example:
        >>> load_task("bump", n=8, samples=2).grid
        (8,)
    """
    return TASKS[check_choice("task", name, TASKS)](**options)
