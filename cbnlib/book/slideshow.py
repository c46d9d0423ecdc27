"""Figures behind a slider in a static page, one picture at a time, with play and pause.

Everything stands in the page itself. matplotlib's own `to_jshtml` loads a font from another host.
"""

import base64
import hashlib
import html
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cbnlib._checks import check_positive, check_type
from cbnlib._extras import extra
from cbnlib._template import fill

with extra("book"):
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure
    from PIL import Image

COLOURS = 64
"""Of the pictures. They are WebP without loss, a quarter of a PNG's size with all colours."""


@dataclass(frozen=True)
class Slideshow:
    """Pictures with a slider. The value of a notebook cell shows it.

    Attributes:
        pictures: WebP files.
        labels: What the slider says, one per picture.
        description: What there is to see, for those who cannot see it.
    """

    pictures: tuple[bytes, ...]
    labels: tuple[str, ...]
    description: str

    def html(self) -> str:
        """The slider with all pictures, or the last picture without JavaScript."""
        sources = [f"data:image/webp;base64,{_base64(picture)}" for picture in self.pictures]
        facts = {"sources": sources[:-1], "labels": self.labels, "text": self.description}
        data = json.dumps(facts).replace("<", "\\u003c")  # no tag ends the script
        return fill(
            Path(__file__).with_name("slideshow.html"),
            key=hashlib.sha256(data.encode()).hexdigest()[:12],
            description=html.escape(self.description),
            label=html.escape(self.labels[-1]),
            source=sources[-1],
            last=len(sources) - 1,
            data=data,
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """For notebooks, which show the last picture where they cannot show HTML."""
        return {
            "text/html": self.html(),
            "image/png": _base64(_as_png(self.pictures[-1])),
            "text/plain": f"{self.description} ({self.labels[-1]})",
        }


def slideshow(
    frames: Iterable[tuple[str, Figure]], description: str, *, dpi: float = 100
) -> Slideshow:
    """Make a slideshow of figures, closing each of them.

    Args:
        frames: What the slider says, such as the step, and the figure. From a generator, only one
            figure is open at a time.
        description: What there is to see, for those who cannot see it. The label is added to it.
        dpi: Dots per inch of the pictures.

    Raises:
        TypeError: If a frame has no figure.
        ValueError: If there is no figure or no description, the figures differ in size, or `dpi` is
            not positive.
    """
    if not isinstance(description, str) or not description.strip():
        raise ValueError(f"a slideshow needs a description, got {description!r}")
    check_positive("dpi", dpi)
    labels, pictures, sizes = [], [], set()
    for label, figure in frames:
        labels.append(label)
        pictures.append(_picture(check_type("figure", figure, Figure), dpi))
        sizes.add(tuple(map(float, figure.get_size_inches())))
    if len(sizes) != 1:
        raise ValueError(f"need figures of one size, got {sorted(sizes) or 'none'}")
    return Slideshow(tuple(pictures), tuple(labels), description)


def _picture(figure: Figure, dpi: float) -> bytes:
    """The figure in few colours, as WebP."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=dpi, facecolor="white", bbox_inches=None)
    plt.close(figure)
    image = Image.open(full).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.convert("RGB").save(small, format="webp", lossless=True, method=4)
    return small.getvalue()


def _as_png(picture: bytes) -> bytes:
    """A picture for those who cannot show WebP."""
    written = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(written, format="png", optimize=True)
    return written.getvalue()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
