"""The page of the explorer, with sliders, charts and a reading in words, in a frame of its own.

Everything stands in the page, Vega included, and nothing is asked of another host. The frame keeps
the page's styles and the book's apart. Where it can, it takes over the book's theme and its own
height. Charts are drawn as SVG, so that the style sheet colours them.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cbnlib._extras import extra
from cbnlib._template import fill

with extra("book"):
    import matplotlib as mpl
    import vl_convert

_FRAME = "width:100%;height:830px;border:0;display:block"

SCALE = {"light": (0.0, 0.6), "dark": (0.35, 1.0)}
"""Where on the colour scale viridis the lowest and the highest degree lie, in each theme."""


@dataclass(frozen=True)
class Explorer:
    """Charts that follow sliders. The value of a notebook cell shows it.

    Attributes:
        data: What `cbnlib.book.explorer.explorer_data` returned.
        charts: Vega-Lite specifications by name, their parameters bound to the page's sliders.
        description: What there is to see, for those who cannot see it.
        picture: A PNG to show where HTML cannot be shown.

    Raises:
        ValueError: On construction, if there is no description.
    """

    data: Mapping[str, Any]
    charts: Mapping[str, Mapping[str, Any]]
    description: str
    picture: bytes

    def __post_init__(self) -> None:
        """Check the description."""
        if not self.description.strip():
            raise ValueError("an explorer needs a description")

    def page(self) -> str:
        """The page that the frame shows."""
        return fill(
            Path(__file__).with_name("explorer.html"),
            colours=_style(self.data["degrees"]),
            vega=_vega(),
            data=_in_script(self.data),
            charts=_in_script(self.charts),
            last_depth=len(self.data["depths"]) - 1,
            last_ridge=len(self.data["ridges"]) - 1,
            last_time=len(self.data["steps"]) - 1,
            depth=(len(self.data["depths"]) - 1) // 2,
            ridge=(len(self.data["ridges"]) - 1) // 2,
        )

    def html(self) -> str:
        """The frame with its page."""
        return (
            f'<iframe title="{_attribute(self.description)}" style="{_FRAME}" '
            f'srcdoc="{_attribute(self.page())}"></iframe>\n'
            "<noscript>The sliders need JavaScript. The next figure shows where each run ends."
            "</noscript>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """For notebooks, which show the picture where they cannot show HTML."""
        return {
            "text/html": self.html(),
            "image/png": base64.b64encode(self.picture).decode(),
            "text/plain": self.description,
        }


@cache
def _vega() -> str:
    """Vega-Lite as a script that defines `window.vegaEmbed`."""
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    if "</script" in script:
        raise ValueError("Vega's script would end its tag")
    return script


def _in_script(value: object) -> str:
    """JSON that can stand in a script."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _attribute(text: str) -> str:
    """Text as the value of an attribute in double quotes, where angle brackets may stand."""
    return text.replace("&", "&amp;").replace('"', "&quot;")


def _style(degrees: int) -> str:
    """The style sheet's rules with the colours of the degrees, in both themes."""
    viridis, rules = mpl.colormaps["viridis"], []
    for theme, (low, high) in SCALE.items():
        steps = (low + (high - low) * d / max(1, degrees - 1) for d in range(degrees))
        colours = ";".join(
            f"--degree-{d}:{mpl.colors.to_hex(viridis(step))}" for d, step in enumerate(steps)
        )
        where = ":root[data-theme=dark]" if theme == "dark" else ":root"
        rules.append(f"{where} {{ color-scheme: {theme}; {colours} }}")
    return "\n".join(rules)
