"""Pages of HTML from Jinja templates, which lie beside the code that fills them."""

from pathlib import Path


def fill(path: Path, *, escape: bool = False, **values: object) -> str:
    """Fill a template.

    Args:
        path: Its file.
        escape: Whether the values are plain text to be escaped. If not, they are HTML.
        values: By the names that the template uses.
    """
    from jinja2 import Environment  # comes with torch

    environment = Environment(autoescape=escape, keep_trailing_newline=True)
    return environment.from_string(path.read_text(encoding="utf-8")).render(values)
