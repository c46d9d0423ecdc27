"""Small versions of the book's figures, for the gallery of chapters."""

from io import BytesIO

from PIL import Image

THUMBNAIL_PIXELS = (480, 360)


def on_white(picture: bytes) -> Image.Image:
    """The image of a PNG file, on white ground where it is transparent."""
    with Image.open(BytesIO(picture)) as original:
        image = original.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image)
    return paper.convert("RGB")


def thumbnail(picture: bytes) -> bytes:
    """Shrink a PNG to fit into `THUMBNAIL_PIXELS`. A smaller one keeps its size."""
    small = on_white(picture)
    small.thumbnail(THUMBNAIL_PIXELS, Image.Resampling.LANCZOS)
    written = BytesIO()
    small.save(written, "PNG", optimize=True)
    return written.getvalue()
