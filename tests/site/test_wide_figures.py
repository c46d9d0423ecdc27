"""Wide figures have boxes in which their pictures scroll; narrow ones do not."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document
from PIL import Image

from tools.sphinx_ext.wide_figures import CSS_CLASS, WIDE_PIXELS, box_wide_figures


@pytest.fixture
def boxes(tmp_path):
    """The boxes that a figure of some width gets."""

    def of(width, *, linked=False):
        Image.new("L", (width, 10)).save(tmp_path / "a.png")
        image = nodes.image(uri="a.png")
        picture = nodes.reference("", "", image, refuri="a.png") if linked else image
        page = new_document("page")
        page += nodes.figure("", picture, nodes.caption("", "What to see."))
        app = SimpleNamespace(builder=SimpleNamespace(format="html"), srcdir=tmp_path)
        box_wide_figures(app, page, "page")
        assert page[0][1].astext() == "What to see."
        return [box for box in page.findall(nodes.container) if CSS_CLASS in box["classes"]]

    return of


@pytest.mark.parametrize("linked", [False, True])
def test_the_picture_of_a_wide_figure_is_boxed_without_its_caption(boxes, linked):
    (box,) = boxes(WIDE_PIXELS, linked=linked)
    assert box.astext() == ""
    assert len(list(box.findall(nodes.image))) == 1


def test_a_narrow_figure_stays_as_it_is(boxes):
    assert boxes(WIDE_PIXELS - 1) == []
