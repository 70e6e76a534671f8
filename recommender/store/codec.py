"""Profile ↔ bytes: an .npz that carries its own checksum, and nothing that can run code.

The bytes are a plain zip of arrays (`np.load(..., allow_pickle=False)` reads them) whose zip comment is the
SHA-256 of everything before it, so a flipped bit is noticed before a single array is parsed. The same profile
always gives the same bytes.

Round trips are exact. Sample vectors take two bytes a number where that loses nothing, which holds for every
profile that went through `compact`, and four where it would.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.errors import StorageError
from recommender.records import Profile, SplitCounts

PROFILE_SCHEMA = 1
_DIGEST_CHARS = 64  # hexadecimal SHA-256, as the zip's comment
_VECTORS = ("image_vectors_NK", "object_vectors_MK")
_ARRAYS: dict[str, type[np.generic]] = {
    "embedding_D": np.float32,
    "image_vectors_NK": np.float32,
    "object_vectors_MK": np.float32,
    "object_classes_M": np.int64,
    "image_hashes_NB": np.uint8,
}


def compact(profile: Profile) -> Profile:
    """The profile with its sample vectors rounded to half precision, so that storing it loses nothing."""
    return replace(
        profile,
        image_vectors_NK=_to_half(profile.image_vectors_NK).astype(np.float32),
        object_vectors_MK=_to_half(profile.object_vectors_MK).astype(np.float32),
    )


def to_bytes(profile: Profile) -> bytes:
    """Encode a profile. Raises StorageError where a number is not finite."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, dtype in _ARRAYS.items():
        array = np.ascontiguousarray(getattr(profile, name), dtype=dtype)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise StorageError(
                f"The profile of {profile.dataset_name!r} has numbers in {name} that are not finite.",
                remedy="Profile the data set again; an image that decodes to nothing may be the cause.",
            )
        if name in _VECTORS:
            half = _to_half(array)
            array = half if np.array_equal(half.astype(np.float32), array) else array
        arrays[name] = array
    arrays["meta"] = np.frombuffer(_meta_of(profile), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return _sealed(buffer.getvalue())


def from_bytes(data: bytes) -> Profile:
    """Decode what `to_bytes` wrote. Raises StorageError for damaged bytes and for another schema."""
    body, digest = data[:-_DIGEST_CHARS], data[-_DIGEST_CHARS:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise StorageError(
            f"A stored profile of {len(data)} bytes is damaged: its checksum does not match.",
            remedy="Profile the data set again; the stored copy is replaced.",
        )
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            meta = json.loads(archive["meta"].tobytes())
            if meta.pop("schema") != PROFILE_SCHEMA:
                raise StorageError(
                    f"A stored profile has another schema than {PROFILE_SCHEMA}, the one this version reads.",
                    remedy="Profile the data set again, or update checkpoint-recommender.",
                )
            arrays = {name: archive[name].astype(dtype) for name, dtype in _ARRAYS.items()}
        meta["num_images"] = SplitCounts(**meta["num_images"])
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in meta.items()
        }
        return Profile(**(values | arrays))
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise StorageError(
            f"A stored profile cannot be read: {error}.", remedy="Profile the data set again."
        ) from error


def load_profile(path: Path) -> Profile:
    """Read a profile file."""
    try:
        return from_bytes(path.read_bytes())
    except OSError as error:
        raise StorageError(f"Cannot read the profile {path}: {error}.") from error


def _to_half(array: NDArray[Any]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):  # beyond 65504: infinite, and then kept in single precision
        return np.asarray(array, dtype=np.float16)


def _meta_of(profile: Profile) -> bytes:
    """Everything but the arrays, as ASCII JSON: names of any bytes survive, NUL and lone surrogates too."""
    meta: dict[str, object] = {
        entry.name: getattr(profile, entry.name) for entry in fields(profile) if entry.name not in _ARRAYS
    }
    counts = profile.num_images
    meta["num_images"] = {"train": counts.train, "val": counts.val, "test": counts.test}
    meta["schema"] = PROFILE_SCHEMA
    try:
        return json.dumps(meta, allow_nan=False, sort_keys=True).encode()
    except (TypeError, ValueError) as error:
        raise StorageError(f"The profile of {profile.dataset_name!r} cannot be stored: {error}.") from error


def _sealed(archive: bytes) -> bytes:
    """The zip with the SHA-256 of its other bytes as its comment (its length is the last two bytes)."""
    body = archive[:-2] + struct.pack("<H", _DIGEST_CHARS)
    return body + hashlib.sha256(body).hexdigest().encode()
