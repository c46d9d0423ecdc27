r"""Newtonian mechanics, to predict the next frame of a body that moves on a circle or torus."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cbnlib._checks import check_count, check_grid
from cbnlib.tasks.base import Task
from cbnlib.tasks.bump import bumps_at


def trajectories(
    grid: int | Sequence[int],
    samples: int,
    *,
    frames: int = 2,
    speeds: Sequence[float] = (0.0, 2.0),
    gravity: float = 0.0,
    seed: int = 0,
) -> Tensor:
    r"""Positions of a body at the times $t=0,\dots,$ `frames`, in pixels and not wrapped around.

    $p(t)=p_0+vt+\tfrac12gt^2$ with $p_0$ uniform on the torus. Along each axis the speed
    $\lvert v_i\rvert$ is uniform in its range and the sign random. Gravity $g$ acts along the first
    axis, which in an image points down.

    Args:
        grid: Pixels per axis.
        samples: Number of bodies.
        frames: Last time.
        speeds: Smallest and largest $\lvert v_i\rvert$, in pixels per frame.
        gravity: $g$, in pixels per frame².
        seed: Seed of positions and velocities.

    Returns:
        Shape `[samples, frames + 1, axes]`.

    Raises:
        ValueError: If a count is < 1, there are not two speeds, they are negative or in the wrong
            order, or gravity is not finite.

    Example:
        >>> p = trajectories(16, 3, frames=2, speeds=(1.0, 1.0))[..., 0]
        >>> (p[:, 1] - p[:, 0]).abs()
        tensor([1., 1., 1.])
    """
    axes = check_grid(grid)
    check_count("samples", samples)
    check_count("frames", frames)
    if len(speeds) != 2 or not 0 <= speeds[0] <= speeds[1] < float("inf"):
        raise ValueError(f"speeds must be finite, 0 <= low <= high, got {tuple(speeds)}")
    if not abs(gravity) < float("inf"):
        raise ValueError(f"gravity must be finite, got {gravity!r}")
    generator = torch.Generator().manual_seed(seed)
    start, share, side = torch.rand(3, samples, 1, len(axes), generator=generator)
    low, high = speeds
    velocity = (low + (high - low) * share) * torch.where(side < 0.5, -1.0, 1.0)
    acceleration = torch.tensor([gravity] + [0.0] * (len(axes) - 1))
    t = torch.arange(frames + 1.0)[:, None]
    path: Tensor = start * torch.tensor(axes) + velocity * t + acceleration * t**2 / 2
    return path


def motion(
    grid: int | Sequence[int] = 16,
    samples: int = 512,
    *,
    frames: int = 2,
    speeds: Sequence[float] = (0.0, 2.0),
    gravity: float = 0.0,
    sharpness: float = 4.0,
    seed: int = 0,
) -> Task:
    r"""Predict the next frame of a moving body.

    The body is a bump (`bumps_at`) on the path of `trajectories`. The frames seen are the input's
    channels and the frame after them the target. From two frames,
    $p(2)=2p(1)-p(0)+g$. It is one position on the torus, 2 real dimensions per axis, at any speed.

    Args:
        grid: Pixels per axis.
        samples: Number of bodies.
        frames: How many frames the network sees, at least 2, or the speed is not known.
        speeds: Smallest and largest speed along each axis, in pixels per frame.
        gravity: Acceleration along the first axis, in pixels per frame².
        sharpness: $\kappa$ of the bump.
        seed: Seed of positions and velocities.

    Raises:
        ValueError: As for `trajectories` and `bumps_at`, or if there are fewer than two frames.

    Example:
        >>> task = motion((8, 8), samples=3, gravity=0.5)
        >>> task.x.shape, task.y.shape
        (torch.Size([3, 2, 8, 8]), torch.Size([3, 1, 8, 8]))
    """
    axes = check_grid(grid)
    check_count("frames", frames, minimum=2)
    options = {"frames": frames, "speeds": speeds, "gravity": gravity, "seed": seed}
    path = trajectories(axes, samples, **options)  # type: ignore[arg-type]
    film = bumps_at(path.flatten(0, 1), axes, sharpness=sharpness).unflatten(0, path.shape[:2])
    return Task(f"motion in {len(axes)}-D", film[:, :-1].clone(), film[:, -1:].clone())
