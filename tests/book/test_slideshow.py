"""The slider: what stands in the page, without a browser."""

import base64
import io
import json

import matplotlib.pyplot as plt
import pytest
from bs4 import BeautifulSoup, Tag
from PIL import Image

from cbnlib.book.slideshow import COLOURS, slideshow

LABELS = ["step 0", "step <1>", "step 2"]
DESCRIPTION = 'Lines that "rise" & fall.</script>'


def frames(width=2.0):
    for i, label in enumerate(LABELS):
        figure, ax = plt.subplots(figsize=(width, 1.5))
        ax.plot([0, i])
        yield label, figure


@pytest.fixture(scope="module")
def show():
    return slideshow(frames(), DESCRIPTION)


@pytest.fixture(scope="module")
def box(show):
    (found,) = BeautifulSoup(show.html(), "html.parser").find_all("div", recursive=False)
    assert isinstance(found, Tag)
    return found


def one(box, selector):
    (found,) = box.select(selector)
    return found


def test_without_a_script_it_is_the_last_picture(show, box):
    image = one(box, "img")
    assert image["src"] == "data:image/webp;base64," + base64.b64encode(show.pictures[-1]).decode()
    assert image["alt"] == f"{DESCRIPTION} (step 2)"
    assert one(box, "output").get_text() == "step 2"
    assert one(box, "button").has_attr("hidden")
    assert one(box, "input").has_attr("hidden")


def test_it_can_be_used_by_keyboard_and_screen_reader(box):
    assert (box["role"], box["aria-label"]) == ("group", DESCRIPTION)
    slider = one(box, "input[type=range]")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "2", "2")
    assert slider["aria-label"]
    assert slider["aria-valuetext"] == "step 2"
    assert one(box, "button")["type"] == "button"


def test_all_pictures_stand_in_the_page(show, box):
    data, script = box.find_all("script")
    facts = json.loads(data.get_text())
    assert facts["labels"] == LABELS
    assert facts["text"] == DESCRIPTION
    sources = [*facts["sources"], str(one(box, "img")["src"])]
    shown = [base64.b64decode(source.partition("base64,")[2]) for source in sources]
    assert shown == list(show.pictures)
    assert len(set(shown)) == 3
    for word in ("http", "//", "import", "fetch", "innerHTML"):
        assert word not in script.get_text()


def test_pictures_have_few_colours_and_the_size_of_the_figure(show):
    for picture in show.pictures:
        image = Image.open(io.BytesIO(picture))
        assert (image.format, image.size) == ("WEBP", (200, 150))
        assert len(image.getcolors()) <= COLOURS
        assert picture[12:16] == b"VP8L"  # without loss


def test_figures_are_closed_and_pages_are_the_same_from_run_to_run(show):
    before = plt.get_fignums()
    assert slideshow(frames(), DESCRIPTION).html() == show.html()
    assert plt.get_fignums() == before


def test_a_notebook_without_html_shows_the_last_picture(show):
    bundle = show._repr_mimebundle_(include=None)
    assert bundle["text/html"] == show.html()
    last, shown = (
        Image.open(io.BytesIO(data)).convert("RGB")
        for data in (show.pictures[-1], base64.b64decode(bundle["image/png"]))
    )
    assert last.tobytes() == shown.tobytes()
    assert bundle["text/plain"] == f"{DESCRIPTION} (step 2)"
