"""Executed notebooks are read once, and again only when they change."""

import os

import nbformat

from tools import executed


def test_a_notebook_is_read_again_only_after_a_change(tmp_path, monkeypatch):
    copy, read = tmp_path / "01.ipynb", []
    monkeypatch.setattr(executed.nbformat, "read", lambda path, **_: read.append(path) or len(read))
    executed._read.cache_clear()
    copy.write_text(nbformat.writes(nbformat.v4.new_notebook()), encoding="utf-8")
    os.utime(copy, ns=(1, 1))
    assert [executed.read_executed(copy) for _ in range(3)] == [1, 1, 1]
    os.utime(copy, ns=(2, 2))
    assert executed.read_executed(copy) == 2
    executed._read.cache_clear()
    assert read == [copy, copy]
