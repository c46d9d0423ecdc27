"""Join printed pages of the book to one PDF whose links lead inside it."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NullObject,
    RectangleObject,
)

TINY = 2.0
"""Points; a link less wide than this is not for readers."""


@dataclass(frozen=True)
class Printed:
    """A page of the site as PDF.

    Attributes:
        path: The page's file.
        title: Its title.
        part: The part of the book it is in; empty outside of parts.
        sections: Anchors and titles of its sections.
        pdf: The file's content; the anchors that links lead to are named destinations.
    """

    path: Path
    title: str
    part: str
    sections: Sequence[tuple[str, str]]
    pdf: bytes


@dataclass(frozen=True)
class Place:
    """Where a link leads: a page of the whole book, and the height on it in points."""

    page: int
    top: float


Places = Mapping[tuple[Path, str], Place]
"""By the site's file and the anchor in it; an empty anchor is the start."""


def join(chapters: Sequence[Printed], title: str) -> PdfWriter:
    """One document of all chapters, with bookmarks; links between them lead inside it."""
    writer = PdfWriter()
    places: dict[tuple[Path, str], Place] = {}
    owners: list[Path] = []
    for chapter in chapters:
        reader = PdfReader(io.BytesIO(chapter.pdf))
        places |= _places(chapter.path, reader, len(owners))
        for page in reader.pages:
            writer.add_page(page)
            owners.append(chapter.path)
    for page, owner in zip(writer.pages, owners, strict=True):
        _mend_links(writer, page, owner, places)
    _bookmark(writer, chapters, places)
    writer.add_metadata({"/Title": title})
    writer.page_mode = "/UseOutlines"
    return writer


def _places(path: Path, reader: PdfReader, first: int) -> dict[tuple[Path, str], Place]:
    found = {(path, ""): Place(first, float(reader.pages[0].mediabox.top))}
    for name, where in reader.named_destinations.items():
        number = reader.get_destination_page_number(where)
        if number is not None:
            found[path, unquote(name.lstrip("/"))] = Place(first + number, float(where.top or 0))
    return found


def _mend_links(writer: PdfWriter, page: PageObject, owner: Path, places: Places) -> None:
    """Replace names and files by places; drop the tiny links that only the printing needed."""
    kept = ArrayObject()
    for reference in page.get("/Annots", []):
        link = cast(DictionaryObject, reference.get_object())
        target = _target(link, owner)
        if RectangleObject(cast(ArrayObject, link["/Rect"])).width < TINY:
            continue
        if target is None:
            kept.append(reference)
        elif place := places.get(target) or places.get((target[0], "")):
            link.pop("/A", None)
            link[NameObject("/Dest")] = _destination(writer, place)
            kept.append(reference)
    page[NameObject("/Annots")] = kept


def _target(link: DictionaryObject, owner: Path) -> tuple[Path, str] | None:
    """The file and the anchor a link leads to; `None` if it leads out of the site."""
    if "/Dest" in link:
        return owner, unquote(str(link["/Dest"]).lstrip("/"))
    url = urlsplit(str(link.get("/A", {}).get("/URI", "")))
    return (Path(unquote(url.path)), unquote(url.fragment)) if url.scheme == "file" else None


def _destination(writer: PdfWriter, place: Place) -> ArrayObject:
    page = writer.pages[place.page].indirect_reference
    parts = (page, NameObject("/XYZ"), FloatObject(0), FloatObject(place.top), NullObject())
    return ArrayObject(parts)


def _bookmark(writer: PdfWriter, chapters: Sequence[Printed], places: Places) -> None:
    part, above = "", None
    for chapter in chapters:
        start = places[chapter.path, ""].page
        if chapter.part != part:
            part = chapter.part
            above = writer.add_outline_item(title=part, page_number=start) if part else None
        entry = writer.add_outline_item(
            title=chapter.title, page_number=start, parent=above, is_open=False
        )
        for anchor, title in chapter.sections:
            if place := places.get((chapter.path, anchor)):
                writer.add_outline_item(title=title, page_number=place.page, parent=entry)
