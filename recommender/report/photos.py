"""Photos inside a page, as JPEG in the page itself."""

from __future__ import annotations

import base64
import io

from markupsafe import Markup
from PIL import Image

from recommender.records import ByteArray

JPEG_QUALITY = 72


def jpeg_of(pixels_HW3: ByteArray, side: int) -> tuple[str, int, int]:
    """The picture as JPEG in base64, its longer side at most `side` px, with its width and height in px."""
    file = io.BytesIO()
    photo = Image.fromarray(pixels_HW3)
    photo.thumbnail((side, side))
    photo.save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii"), photo.width, photo.height


def svg_photo(id: str, pixels_HW3: ByteArray, width: int, height: int, *, side: int) -> Markup:
    """The picture as an element of SVG that is drawn by `<use>`, `width` by `height` there."""
    data, _, _ = jpeg_of(pixels_HW3, side)
    return Markup('<image id="{}" width="{}" height="{}" href="data:image/jpeg;base64,{}"/>').format(
        id, width, height, data
    )
