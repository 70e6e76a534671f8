"""The only decoder of the project. The header is read before a pixel is decoded.

What comes out is always RGB, 8 bits, upright: grey is repeated, alpha dropped (as OpenCV and so
ultralytics do), palettes and CMYK converted, 16 bits cut to the upper 8, floats scaled from their
minimum to their maximum, and of an animation the first frame counts.
"""

from __future__ import annotations

import io
import math
import os
import struct
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.datasets.decoding_memory import decoding
from recommender.datasets.limits import LIMITS, DatasetLimits
from recommender.datasets.opened import open_plain
from recommender.datasets.wrong_content import POINTER, wrong_content
from recommender.errors import DatasetError, UnsafeInputError
from recommender.records import ByteArray
from recommender.text import printable

# What ultralytics trains on, less dng (its preview would be taken for the picture), plus those it passes over.
IMAGE_SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
# By ultralytics, for their names alone: copies have others.
PASSED_OVER = frozenset({".gif", ".jfif", ".jpe", ".pbm", ".pgm", ".pnm", ".ppm"})
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "JPEG2000", "AVIF", "PPM")
SUFFIXES_OF = {
    "JPEG": {".jpg", ".jpe", ".jpeg", ".jfif", ".mpo"},
    "MPO": {".mpo", ".jpg", ".jpeg"},
    "PNG": {".png"},
    "BMP": {".bmp"},
    "DIB": {".bmp"},
    "GIF": {".gif"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
    "JPEG2000": {".jp2"},
    "PPM": {".pbm", ".pgm", ".pnm", ".ppm"},
    "AVIF": {".avif", ".heif", ".heic"},
}
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
LARGE = 16_000_000  # pixels
STRIP = 256  # rows converted at a time
ORIENTATION_TAG = 0x0112
PNG_START = b"\x89PNG\r\n\x1a\n"


class ImageError(DatasetError):
    """One image cannot be used. `kind` is the defect's code."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """The facts in the first bytes of an image."""

    format: str  # Pillow's name of it
    mode: str
    width: int  # pixels, upright
    height: int
    orientation: int  # EXIF, 1 is upright
    sha256: str
    complete: bool  # the end is where it belongs; False says only that a decode must tell
    pages: bool  # a TIFF with more than one page: other bands, or other slices
    plain: bool  # every reader agrees on its pixels: an upright 8-bit grey or RGB JPEG or PNG
    sixteen_bits: bool  # a value, of which the upper 8 count
    dark: bool = False  # sixteen, of which 12 or fewer are used; known after a decode alone

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height before the orientation is applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_bytes(path: Path, *, limits: DatasetLimits = LIMITS) -> bytes:
    """Read an image file of bounded size; pipes and devices are not waited for.

    Paths of a data set hold no link, they were followed when it was opened; one that leads through a link now was
    swapped, and raises ImageError.
    """
    try:
        file, real = open_plain(path)
        with file:
            if real != Path(os.path.abspath(path)):  # noqa: PTH100 - less its dots, links not followed
                raise ImageError("image_moved", f"{_shown(path)} leads through a link.")
            size = os.fstat(file.fileno()).st_size
            if size > limits.image_bytes:
                raise ImageError(
                    "image_too_large",
                    f"{_shown(path)} has {size} bytes, at most {limits.image_bytes} are allowed.",
                )
            data = file.read()
    except OSError as error:
        raise ImageError("image_unreadable", f"{_shown(path)} cannot be read: {error.strerror}.") from error
    if not data:
        raise ImageError("image_empty", f"{_shown(path)} is empty.")
    return data


def read_header(path: Path, data: bytes | None = None, *, limits: DatasetLimits = LIMITS) -> ImageHeader:
    """Read size, orientation and sha256 without decoding.

    Raises ImageError for what is no image, larger than `limits.image_pixels` or smaller than
    `limits.min_image_side`.
    """
    data = read_bytes(path, limits=limits) if data is None else data
    with _opened(path, data, limits.image_pixels) as image:
        width, height = image.size
        orientation = _orientation(image)
        format_name, mode = str(image.format), str(image.mode)
        # A PNG may carry transparency beside the pixels, or 16 bits that Pillow shows as 8.
        pages = format_name == "TIFF" and bool(getattr(image.tag_v2, "next", 0))
        plain = mode in ("L", "RGB") and "transparency" not in image.info and orientation == 1
    if orientation >= 5:
        width, height = height, width
    if min(width, height) < limits.min_image_side:
        raise ImageError(
            "image_too_small", f"{_shown(path)} is {width}×{height}, at least {limits.min_image_side} a side."
        )
    complete = _complete(format_name, data)
    png_bits = data[24] if format_name == "PNG" and len(data) > 24 else 0
    plain = plain and complete and (format_name == "JPEG" or png_bits == 8)
    return ImageHeader(
        format=format_name,
        mode=mode,
        width=width,
        height=height,
        orientation=orientation,
        sha256=sha256(data).hexdigest(),
        complete=complete,
        pages=pages,
        plain=plain,
        sixteen_bits=mode.startswith("I") or png_bits == 16,
    )


def read_image(
    path: Path, *, max_pixels: int = LIMITS.image_pixels, max_side: int | None = None
) -> ByteArray:
    """Decode an image to RGB, uint8 HW3, upright.

    `max_side` allows a JPEG to be decoded at 1/2, 1/4 or 1/8, and any image above LARGE pixels to be
    scaled by a whole number, as long as its longer side stays at or above `max_side` pixels: faster and
    smaller, for when it is scaled down anyway. Raises ImageError, a
    DatasetError, for files that are no image, end early or exceed `max_pixels`.
    """
    return decode_image(path, read_bytes(path), max_pixels=max_pixels, max_side=max_side)


def decode_image(
    path: Path, data: bytes, *, max_pixels: int = LIMITS.image_pixels, max_side: int | None = None
) -> ByteArray:
    """Decode bytes already read; `path` is only named in errors. See `read_image`."""
    with _opened(path, data, max_pixels) as image, decoding(image.size[0] * image.size[1]):
        if image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB") and _complete("JPEG", data):
            pixels = _jpeg_pixels(data, max(image.size), max_side)
            if pixels is not None:
                return _upright(pixels, _orientation(image))
        try:
            return _upright(_reduced(_pixels(image), max_side), _orientation(image))
        except Exception as error:  # Pillow's parsers raise nearly anything on damaged files
            raise _undecoded(path, error) from error


def read_mask(path: Path, *, limits: DatasetLimits = LIMITS, as_colours: bool = False) -> NDArray[np.int32]:
    """The values of a mask picture, HW, as stored: numbers of a palette or grey levels, of colours 0xRRGGBB.

    A picture of grey colours counts as grey levels, and one that shows something by its opacity alone by that.
    `as_colours` gives the colours behind palettes and grey levels.
    Raises ImageError as `read_image`.
    """
    data = read_bytes(path, limits=limits)
    with _opened(path, data, limits.image_pixels) as image, decoding(image.size[0] * image.size[1]):
        try:
            if image.mode in ("LA", "RGBA") and _is_plain(image):
                image = image.getchannel("A")
            if not as_colours and (image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16")):
                return np.asarray(image).astype(np.int32)
            colours_HW3 = _pixels(image).astype(np.int32)
        except Exception as error:  # Pillow's parsers raise nearly anything on damaged files
            raise _undecoded(path, error) from error
    red, green, blue = colours_HW3[..., 0], colours_HW3[..., 1], colours_HW3[..., 2]
    if not as_colours and bool(((red == green) & (green == blue)).all()):
        return red.copy()
    packed_HW: NDArray[np.int32] = red << 16 | green << 8 | blue
    return packed_HW


def _is_plain(image: Any) -> bool:
    """True if a picture with an alpha channel is of one colour, and of several opacities."""
    *colours, alpha = image.getextrema()
    return all(low == high for low, high in colours) and bool(alpha[0] < alpha[1])


def decode_stencil(data: bytes, *, max_pixels: int) -> NDArray[np.bool_]:
    """The pixels HW that a small picture within an annotation marks: those not transparent, else those not black.

    Raises ImageError as `read_image`.
    """
    named = Path("bitmap")
    with _opened(named, data, max_pixels) as image, decoding(image.size[0] * image.size[1]):
        try:
            has_alpha = image.mode in ("RGBA", "LA", "PA")
            pixels_HW4 = np.asarray(image.convert("RGBA"))
        except Exception as error:  # Pillow's parsers raise nearly anything on damaged files
            raise _undecoded(named, error) from error
    colours_HW3 = pixels_HW4[..., :3]
    # An opaque black picture with an alpha channel marks all of its frame.
    is_stencil = bool((pixels_HW4[..., 3] == 0).any()) or (has_alpha and not colours_HW3.any())
    marked_HW: NDArray[np.bool_] = (pixels_HW4[..., 3:] if is_stencil else colours_HW3).max(axis=2) > 0
    return marked_HW


def _jpeg_pixels(data: bytes, longer_side: int, max_side: int | None) -> ByteArray | None:
    # OpenCV decodes with the same library as Pillow, to the same pixels, about three times as fast.
    import cv2

    flags = {1: cv2.IMREAD_COLOR_RGB, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
    flags[8] = cv2.IMREAD_REDUCED_COLOR_8
    fitting = [scale for scale in flags if max_side is not None and longer_side >= scale * max_side]
    scale = max(fitting, default=1)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags[scale] | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        return None
    if scale > 1:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, dtype=np.uint8)


def _reduced(pixels_HW3: ByteArray, max_side: int | None) -> ByteArray:
    import cv2

    height, width = pixels_HW3.shape[:2]
    factor = 1 if max_side is None else max(height, width) // max_side
    if height * width <= LARGE or factor < 2:
        return pixels_HW3
    size = (max(1, width // factor), max(1, height // factor))
    return np.asarray(cv2.resize(pixels_HW3, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _pixels(image: Any) -> ByteArray:
    if image.mode == "F" or image.mode == "I" or image.mode.startswith("I;16"):
        values_HW = np.asarray(image)
        grey_HW = np.empty(values_HW.shape, np.uint8)
        low, factor = _float_range(values_HW) if image.mode == "F" else (0.0, 0.0)
        for start in range(
            0, len(values_HW), STRIP
        ):  # of a large image a copy in floats would take gigabytes
            part_SW = values_HW[start : start + STRIP].astype(np.float64)
            if image.mode == "F":
                part_SW = (np.where(np.isfinite(part_SW), part_SW, low) - low) * factor
            else:
                part_SW = part_SW.clip(0, 65535) // 256
            grey_HW[start : start + STRIP] = part_SW.clip(0, 255).astype(np.uint8)
        return np.repeat(grey_HW[:, :, None], 3, axis=2)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _float_range(values_HW: Any) -> tuple[float, float]:
    """The least finite value, and the factor from the range of finite values to 0 … 255."""
    low, high = math.inf, -math.inf
    for start in range(0, len(values_HW), STRIP):
        part_SW = values_HW[start : start + STRIP]
        finite = part_SW[np.isfinite(part_SW)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if high <= low:
        return (low if math.isfinite(low) else 0.0), 0.0
    return low, 255.0 / (high - low)


def _upright(pixels_HW3: ByteArray, orientation: int) -> ByteArray:
    turned = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: p.swapaxes(0, 1)[:, ::-1],
        7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
        8: lambda p: p.swapaxes(0, 1)[::-1],
    }[orientation](pixels_HW3)
    return np.ascontiguousarray(turned)


def _undecoded(path: Path, error: Exception) -> DatasetError:
    """A damaged image is left out of its data set; a sound one for which memory lacks must not be, without a word."""
    if isinstance(error, MemoryError):
        return UnsafeInputError(
            f"{_shown(path)} takes more memory than there is.", remedy="Scale it down, or leave it out."
        )
    return ImageError("image_truncated", f"{_shown(path)} is damaged or ends early: {error}.")


def _opened(path: Path, data: bytes, max_pixels: int) -> Any:
    """Open with Pillow, restricted to the formats above, and check the size the header names."""
    from PIL import Image

    if data[:8] == PNG_START:  # the usual bomb, told here before Pillow prints a warning of its own
        width, height = struct.unpack(">II", data[16:24].ljust(8, b"\0"))
        _check_pixels(path, width, height, max_pixels)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("image_too_large", f"{_shown(path)} is too large; scale it down.") from error
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged files
        if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
            raise ImageError("image_heic", f"{_shown(path)} is an HEIC photo, which is not read.") from error
        if found := wrong_content(data[:64]):
            kind = "image_pointer" if found is POINTER else "image_unreadable"
            raise ImageError(kind, f"{_shown(path)} is {found.what}.") from error
        raise ImageError("image_unreadable", f"{_shown(path)} is not an image that can be read.") from error
    width, height = image.size
    _check_pixels(path, width, height, max_pixels)
    return image


def _check_pixels(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(
            "image_too_large",
            f"{_shown(path)} is {width}×{height} pixels, at most {max_pixels / 1e6:.0f} megapixels are "
            "allowed; scale it down.",
        )


def _orientation(image: Any) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns these itself
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # a damaged EXIF block says nothing about the orientation
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _complete(format_name: str, data: bytes) -> bool:
    if format_name in ("JPEG", "MPO"):
        return data.rstrip(b"\x00\r\n")[-2:] == b"\xff\xd9"
    if format_name == "PNG":
        return b"IEND" in data[-64:]
    if format_name == "WEBP":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    if format_name == "GIF":
        return data.rstrip(b"\x00")[-1:] == b";"
    if format_name == "BMP":
        return len(data) >= int.from_bytes(data[2:6], "little") > 0
    return False


def _shown(path: Path) -> str:
    return printable(os.fspath(path.name))
