"""Tiny projects to build: notebooks, a one-line `cbnlib`, the real settings."""

import shutil
from contextlib import contextmanager

from cbnlib.book.claims import KEY, Claim
from tools import execute
from tools.pair import PAIRS
from tools.project import ROOT, Project

HEADER = """\
---
jupytext:
  formats: md:myst,ipynb
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""
PARAMETERS = """\
```{code-cell} ipython3
:tags: [parameters]

profile: str = "quick"
seed: int = 0
```
"""
FIGURE = """\
```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-line
    caption: |
      A line $x \\mapsto x$.
  image:
    alt: A straight line
---
import matplotlib.pyplot as plt

_ = plt.plot([0, 1])
```
"""
CLAIM = Claim(
    paper="C1",
    task="a line",
    prediction="It rises.",
    quantity="slope",
    values=(0.5, 1.5, 2.0),
    figure="fig-line",
    at_least=1.0,
    tried="another pen",
    added="The line came later.",
)
STATES_A_CLAIM = f"""\
from IPython.display import display
display({{"text/plain": "a claim"}}, metadata={{{KEY!r}: {CLAIM.facts()!r}}}, raw=True)"""


def cell(source):
    return f"```{{code-cell}} ipython3\n{source}\n```\n"


def notebook(*parts):
    return "\n".join([HEADER, "# A title\n", PARAMETERS, *parts])


def make_project(root, notebooks):
    """A project with the real settings, the given notebooks and a one-line `cbnlib`."""
    project = Project(root)
    project.notebooks.mkdir(parents=True)
    for stem, text in notebooks.items():
        (project.notebooks / f"{stem}.md").write_text(text, encoding="utf-8")
    (root / "cbnlib").mkdir()
    (root / "cbnlib" / "__init__.py").write_text("VALUE = 1\n", encoding="utf-8")
    for name in ("pyproject.toml", "constraints.txt", "_config.yml"):
        shutil.copy(ROOT / name, root)
    PAIRS.write(project)
    return project


def run(project, *options):
    return execute.main(["--root", str(project.root), *options])


def make_book(root, notebooks, text):
    """A project that can be rendered, with the given notebooks and a start page."""
    project = make_project(root, notebooks)
    project.book.mkdir()
    shutil.copytree(ROOT / "book" / "_static", project.book / "_static")
    for name in ("logo.svg", "favicon.svg", "execution.md"):
        shutil.copy(ROOT / "book" / name, project.book)
    bibliography = "@book{a, title={T}, author={A. B.}, year={2000}, publisher={P}}"
    (project.book / "references.bib").write_text(bibliography, encoding="utf-8")
    write_book(project, text)
    return project


def write_book(project, text):
    chapters = [f"notebooks/{source.stem}" for source in project.sources()]
    names = (*chapters, "execution", "run_yourself")
    toc = "format: jb-book\nroot: intro\nchapters:\n" + "".join(f"- file: {n}\n" for n in names)
    (project.book / "run_yourself.md").write_text("# Run it yourself\n", encoding="utf-8")
    (project.book / "_toc.yml").write_text(toc, encoding="utf-8")
    (project.book / "intro.md").write_text(f"# A book\n\n{text}\n", encoding="utf-8")


@contextmanager
def edited(path, change):
    """A file whose text is another one for a while."""
    whole = path.read_bytes()
    try:
        path.write_text(change(whole.decode("utf-8")), encoding="utf-8")
        yield
    finally:
        path.write_bytes(whole)
