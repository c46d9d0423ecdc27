"""Sphinx extension for numbers that training did not give.

`glue` stores "not available" for them. MyST-NB would apply the number format of
`` {glue:text}`key:.2f` `` to it and fail, and it has no hook for this, so its two callers of
`format_plain_text` get one that lets these words pass.
"""

from myst_nb.core.variables import format_plain_text
from myst_nb.ext.glue import crossref, roles
from sphinx.application import Sphinx

from cbnlib.book.notebook import NOT_AVAILABLE


def formatted(text: str, fmt_spec: str) -> str:
    """As MyST-NB's `format_plain_text`, but for numbers that are not available.

    >>> formatted("1.234", ".2f"), formatted("not available", ".2f")
    ('1.23', 'not available')
    """
    return text if text == NOT_AVAILABLE else format_plain_text(text, fmt_spec)


def setup(_app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    crossref.format_plain_text = roles.format_plain_text = formatted
    return {"parallel_read_safe": True, "parallel_write_safe": True}
