"""Executed notebooks are read once, and pages say where a result is not available."""

import os

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools import executed


def write(copy, *glued, **companion):
    """A notebook with glued results, stored as `glue` does: pairs of a name and its text."""
    prefix = "application/papermill.record/"
    outputs = [
        new_output(
            "display_data",
            {f"{prefix}text/plain": text},
            metadata={"scrapbook": {"name": name, "mime_prefix": prefix}},
        )
        for name, text in glued
    ]
    notebook = new_notebook(cells=[new_code_cell("x", outputs=outputs)])
    notebook.metadata["companion"] = companion
    copy.write_text(nbformat.writes(notebook), encoding="utf-8")


def test_a_notebook_is_read_again_only_after_a_change(tmp_path):
    copy = tmp_path / "01.ipynb"
    write(copy)
    os.utime(copy, ns=(1, 1))
    first = executed.read_executed(copy)
    assert executed.read_executed(copy) is first
    os.utime(copy, ns=(2, 2))
    assert executed.read_executed(copy) is not first


def test_results_that_there_are_not_read_so(tmp_path):
    write(tmp_path / "01_a.ipynb", ("norm", "1.5"), ("rank", "not available"))
    write(tmp_path / "02_b.ipynb", failure="why")
    quoted = (
        "{glue:text}`notebooks/01_a.ipynb::norm:.1f`, {glue:text}`notebooks/01_a.ipynb::rank:d`,"
    )
    quoted += " {glue:text}`02_b.ipynb::loss`, {glue:text}`norm:g`, {glue:text}`rank:.2f`"
    told = executed.without_missing(quoted, tmp_path, "01_a")
    gone = "not available"
    assert told == f"{quoted.split(',')[0]}, {gone}, {gone}, {{glue:text}}`norm:g`, {gone}"
    assert executed.without_missing(quoted, tmp_path, "a_page").count(gone) == 2
