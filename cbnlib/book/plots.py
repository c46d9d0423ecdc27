"""The book's figures as functions that draw arrays on given axes, and nothing else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from cbnlib._extras import extra
from cbnlib.spectra.spectrum import Spectrum

with extra("plots"):
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    import seaborn as sns
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator


def plot_heat_map(ax: Axes, spectra: Sequence[Spectrum], *, relative: bool = False) -> AxesImage:
    """Draw layer × mode: the largest value at each mode, on a logarithmic scale from 0.001 to 1.

    Args:
        ax: Where to draw.
        spectra: One per layer, all on one grid.
        relative: Whether each layer is divided by its largest value beside the constant, as
            suits activations.

    Returns:
        The image, for a colour bar. Its rows are the modes, lowest degree first.

    Raises:
        ValueError: If there is no spectrum, or they are on several grids.
    """
    if len({spectrum.grid for spectrum in spectra}) != 1:
        raise ValueError(f"need spectra on one grid, got {[spectrum.grid for spectrum in spectra]}")
    columns = []
    for spectrum in spectra:
        largest = spectrum.values[:, 0]
        scale = largest.where(spectrum.degree > 0, 0).max().clamp_min(1e-30) if relative else 1.0
        columns.append((largest / scale).numpy(force=True))
    degree = spectra[0].degree.numpy(force=True)
    order = np.argsort(degree, kind="stable")
    rows: list[int] = []  # where a degree begins, as far as there is room for its number
    for row in np.searchsorted(degree[order], np.unique(degree)):
        if not rows or row - rows[-1] >= len(order) / 11:
            rows.append(int(row))
    ax.set(xlabel=r"layer $\ell$", ylabel="degree")
    ax.set_xticks(range(1, len(spectra) + 1))
    ax.set_yticks(rows, [str(d) for d in degree[order][rows]])
    return ax.imshow(
        np.stack(columns, axis=1)[order].clip(min=1e-9),
        cmap=sns.color_palette("mako_r", as_cmap=True),
        norm=LogNorm(1e-3, 1, clip=True),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, len(spectra) + 0.5, -0.5, len(order) - 0.5),
    )


DEGREE_MARKERS = "osD^vPXp"
"""Markers of degree 0, 1, ..., so that degrees differ without colour. The last is for all above."""


def set_style() -> None:
    """Set the book's look for all figures that follow (seaborn's `ticks` theme, vector-sharp)."""
    sns.set_theme(
        context="notebook", style="ticks", rc={"axes.spines.top": False, "axes.spines.right": False}
    )
    plt.rcParams.update({"figure.dpi": 110, "savefig.dpi": 160, "legend.frameon": False})


def say_missing(ax: Axes, text: str = "no network to draw") -> Axes:
    """Write on axes why there is nothing on them, in place of ticks and curves."""
    ax.text(0.5, 0.5, text, ha="center", va="center", color="0.4", transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
    return ax


def degree_color(degree: int, largest: int) -> tuple[float, float, float, float]:
    """Colour of a degree, light for high and dark for low, ordered in grey, too (viridis)."""
    return mpl.colormaps["viridis"](0.92 * degree / max(1, largest))


def plot_spectra(
    ax: Axes,
    spectra: Sequence[Spectrum],
    *,
    quantity: str = "singular value",
    largest_degree: int | None = None,
    highest: float | None = None,
) -> Axes:
    r"""Draw the book's signature figure, singular values by layer, coloured by degree.

    Every point is one singular direction at one mode. Within a layer, degrees stand side by side,
    lowest first.

    Args:
        ax: Where to draw.
        spectra: One per layer, first layer first. Without any (the run failed), the axes say so.
        quantity: What the values are, for the vertical axis.
        largest_degree: Degree at which colours and markers end. Higher ones look like it.
            None for the largest degree there is, at most 7.
        highest: Where the vertical axis ends. A layer with larger values, which are not drawn,
            says how large they are. None for an axis that shows all values.
    """
    if not spectra:
        return say_missing(ax)
    top = max(int(s.degree.max()) for s in spectra)
    largest = min(top, len(DEGREE_MARKERS) - 1) if largest_degree is None else largest_degree
    for layer, spectrum in enumerate(spectra, start=1):
        degree = np.asarray(spectrum.degree).clip(max=largest)
        for d in np.unique(degree)[::-1]:
            values = np.asarray(spectrum.values)[degree == d].ravel()
            values = values if highest is None else values[values <= highest]
            x = layer + 0.7 * (d / max(1, largest) - 0.5)
            ax.scatter(
                np.full(values.shape, x),
                values,
                s=6 + 26 * values.clip(max=1),  # the strong ones are what there is to see
                marker=DEGREE_MARKERS[d],
                color=degree_color(d, largest),
                linewidth=0,
                zorder=3 + largest - d,
                clip_on=False,
            )
    for edge in np.arange(1.5, len(spectra)):
        ax.axvline(edge, color="0.9", linewidth=0.8, zorder=0)
    ax.set(xlabel=r"layer $\ell$", ylabel=quantity, xlim=(0.5, len(spectra) + 0.5))
    ax.set_xticks(range(1, len(spectra) + 1))
    ax.set_ylim(bottom=0, top=highest)
    for layer, spectrum in enumerate(spectra, start=1):
        most = float(np.asarray(spectrum.values).max())
        if highest is not None and most > highest:
            ax.text(layer, highest, f"↑ {most:.1f}", ha="center", va="top", fontsize=9)
    return _degree_legend(ax, largest, more=top > largest)


def plot_frequency_map(ax: Axes, values: ArrayLike, *, vmax: float | None = None) -> AxesImage:
    r"""Draw a value at every frequency of a 2-D grid, the constant frequency centred.

    On an even axis the frequencies $-n/2$ and $n/2$ are the same, and both are drawn.

    Args:
        ax: Where to draw.
        values: One number per frequency in the order of `fft2`, shape `[n1, n2]`.
        vmax: Value of the darkest colour. None for the largest value.

    Returns:
        The image, for a colour bar.
    """
    full = np.asarray(values)
    axes = [np.arange(-(n // 2), n // 2 + 1) for n in full.shape]
    image = full[np.ix_(*(omega % n for omega, n in zip(axes, full.shape, strict=True)))]
    (low, high), (left, right) = ((omega[0] - 0.5, omega[-1] + 0.5) for omega in axes)
    ax.set(xlabel=r"$\omega_2$", ylabel=r"$\omega_1$")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
    return ax.imshow(
        image,
        cmap=sns.color_palette("mako_r", as_cmap=True),
        vmin=0,
        vmax=vmax,
        origin="lower",
        extent=(left, right, low, high),
    )


def plot_images(axes: ArrayLike, rows: dict[str, ArrayLike]) -> None:
    """Draw rows of images, each row with its label and all on one grey scale from 0 to 1.

    Args:
        axes: Array of axes, shape `[rows, images]`.
        rows: Label to images, each of shape `[>= images, n1, n2]`.

    Raises:
        ValueError: If there are not as many rows of axes as of images.
    """
    grid = np.atleast_2d(np.asarray(axes, dtype=object))
    if len(grid) != len(rows):
        raise ValueError(f"need {len(rows)} rows of axes, got {len(grid)}")
    for row, (label, images) in zip(grid, rows.items(), strict=True):
        for ax, image in zip(row, np.asarray(images), strict=False):
            ax.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")


def plot_signals(ax: Axes, y: ArrayLike, f: ArrayLike | None = None) -> Axes:
    """Draw 1-D targets as lines and, if given, the network's outputs as dots.

    Args:
        ax: Where to draw.
        y: Targets, shape `[signals, n]`.
        f: Outputs, same shape.
    """
    targets = np.asarray(y)
    for i, target in enumerate(targets):
        color = degree_color(i, len(targets))
        ax.plot(target, color=color, label="target" if i == 0 else None)
        if f is not None:
            label = "network" if i == 0 else None
            ax.plot(np.asarray(f)[i], "o", color=color, markersize=4, label=label)
    ax.set(xlabel="pixel", ylabel="value")
    if f is not None:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def plot_mode(
    ax: Axes, coefficient: ArrayLike, quantity: ArrayLike, label: str, *, period: float
) -> Axes:
    """Draw complex Fourier coefficients in the plane, coloured by a cyclic quantity.

    No scale of greys is cyclic, so rings and numbers mark the samples next to the quarters of the
    period.

    Args:
        ax: Where to draw.
        coefficient: One complex number per sample, shape `[samples]`.
        quantity: What colours them, from 0 to `period`, same shape.
        label: Its name and unit.
        period: After which it begins anew.
    """
    z, value = np.asarray(coefficient), np.asarray(quantity)
    drawn = ax.scatter(z.real, z.imag, c=value, cmap="twilight", vmin=0, vmax=period, s=14)
    quarters = period * np.arange(4) / 4
    for quarter in quarters:
        apart = np.abs((value - quarter + period / 2) % period - period / 2)
        x = z[apart.argmin()]
        ax.plot(x.real, x.imag, "o", mfc="none", mec="black", ms=9)
        inwards = -14 * x / max(abs(x), 1e-300)
        place = inwards.real, inwards.imag
        number = ax.annotate(f"{quarter:g}", (x.real, x.imag), place, textcoords="offset points")
        number.set(ha="center", va="center")
    ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    ax.figure.colorbar(drawn, ax=ax, label=label, ticks=[*quarters, period])
    return ax


def plot_history(ax: Axes, step: ArrayLike, values: ArrayLike, label: str) -> Axes:
    """Draw a quantity over training on a logarithmic axis.

    Args:
        ax: Where to draw.
        step: Gradient steps, shape `[records]`.
        values: The quantity, same shape.
        label: Its name, with units if it has any.
    """
    ax.plot(np.asarray(step), np.asarray(values), color="0.15")
    ax.set(xlabel="gradient step", ylabel=label, yscale="log")
    return ax


def _degree_legend(ax: Axes, largest: int, *, more: bool) -> Axes:
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=DEGREE_MARKERS[d],
            color=degree_color(d, largest),
            label=f"{d}+" if more and d == largest else str(d),
        )
        for d in range(largest + 1)
    ]
    ax.legend(
        handles=handles, title="degree", loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9
    )
    return ax
