"""Sphinx extension for the teachers' page.

The role `{runtime}` says how long the named notebooks took in this build, all together.
"""

from docutils import nodes
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from cbnlib.book.notebook import NOT_AVAILABLE
from tools.executed import is_stand_in, read_chapter


class Runtime(SphinxRole):
    """``{runtime}`01_bottleneck 14_minima` ``: how long these notebooks took, in words."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Add up what papermill wrote into the executed copies."""
        notebooks = [read_chapter(self.env, stem) for stem in self.text.split()]
        if any(map(is_stand_in, notebooks)):
            return [nodes.Text(NOT_AVAILABLE)], []
        return [nodes.Text(in_words(sum(map(seconds_of, notebooks))))], []


def seconds_of(notebook: NotebookNode) -> float:
    """How long an executed notebook took."""
    took: float = notebook.metadata["papermill"]["duration"]
    return took


def in_words(seconds: float) -> str:
    """A duration to plan with, not to compare.

    Example:
        >>> in_words(7.2), in_words(44), in_words(61), in_words(290)
        ('10 seconds', '50 seconds', 'about 1 minute', 'about 5 minutes')
    """
    if seconds <= 60:
        return f"{10 * max(1, -(-int(seconds) // 10))} seconds"
    minutes = round(seconds / 60)
    return f"about {minutes} minute{'s' * (minutes != 1)}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the role."""
    app.add_role("runtime", Runtime())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
