"""Make the outputs of an executed notebook fit for a page, and the same from run to run."""

import re
from itertools import groupby

from nbformat import NotebookNode
from nbformat.v4 import new_output

from cbnlib.book.where import ASKED

# What a cell prints may be long, so none of these patterns tries a place more than once.
TQDM_BAR_END = re.compile(r"\[\d{1,9}:\d{2}[^\[\]\r\n]*\]")
CELL_FILE = re.compile(r"(?<!\S)\S*ipykernel_\d+/\d+\.py")
CURSOR_MOVES = re.compile(r"\x1b\[[0-9;]*[A-HJKf]")


def strip_progress(text: str) -> str:
    r"""Drop progress bars from a stream, keep every other line.

    A bar rewrites its line after a carriage return. A warning issued while the bar stands follows
    it on the same line.

    >>> strip_progress("\r 50%|## | 1/2 [00:01<00:01]\r100%|####| 2/2 [00:02<00:00]\ndone\n")
    'done\n'
    >>> strip_progress("\r 50%|## | 1/2 [00:01<00:01]x.py:1: UserWarning: small\n")
    'x.py:1: UserWarning: small\n'
    """
    lines = CURSOR_MOVES.sub("", text).split("\n")
    ended = [_without_bar(f"{line}\n") for line in lines[:-1]]
    return "".join(ended) + _without_bar(lines[-1])


def _without_bar(line: str) -> str:
    if "\r" not in line.rstrip("\r\n"):
        return line
    last_written = line.rstrip("\r\n").rsplit("\r", maxsplit=1)[-1]
    bar = TQDM_BAR_END.search(last_written)
    rest = last_written[bar.end() if bar else 0 :].strip()
    return f"{rest}\n" if rest else ""


def clean_outputs(notebook: NotebookNode) -> None:
    """Strip what differs between runs, in place (progress, times of single cells, process ids).

    Outputs that show nothing and only say which records were asked for go, too.
    """
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            shown = [out for out in cell.outputs if ASKED not in out.get("metadata", {})]
            cell.outputs = _without_timing(shown)


def _without_timing(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring streams, as it is chance in which pieces and order they arrive."""
    cleaned: list[NotebookNode] = []
    for is_stream, group in groupby(outputs, lambda output: output.output_type == "stream"):
        neighbours = list(group)
        cleaned += _joined_streams(neighbours) if is_stream else neighbours
    return cleaned


def _joined_streams(streams: list[NotebookNode]) -> list[NotebookNode]:
    joined = []
    for name in ("stderr", "stdout"):
        text = strip_progress("".join(s.text for s in streams if s.name == name))
        if text.strip():
            joined.append(new_output("stream", name=name, text=CELL_FILE.sub("<cell>", text)))
    return joined
