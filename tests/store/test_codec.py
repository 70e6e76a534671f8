"""Profiles as bytes: exact, repeatable, checksummed, and never a way to run code (P8)."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recommender.errors import StorageError
from recommender.store.codec import compact, from_bytes, load_profile, to_bytes
from tests.store.builders import any_text, assert_same_profile, profile

vectors = hnp.arrays(
    np.float32, st.tuples(st.integers(0, 4), st.just(3)), elements=st.floats(-(2.0**100), 2.0**100, width=32)
)


@pytest.mark.slow
@given(
    name=any_text,
    image_vectors=vectors,
    embedding=hnp.arrays(np.float32, 6, elements=st.floats(-1, 1, width=32)),
)
def test_any_profile_comes_back_equal(name: str, image_vectors: Any, embedding: Any) -> None:
    made = replace(
        profile(),
        dataset_name=name,
        class_names=(name,),
        image_vectors_NK=image_vectors,
        embedding_D=embedding,
    )
    assert_same_profile(made, from_bytes(to_bytes(made)))


def test_a_compact_profile_takes_half_the_room_and_loses_nothing_more() -> None:
    rng = np.random.default_rng(0)
    large = replace(profile(), object_vectors_MK=rng.normal(size=(512, 64)).astype(np.float32))
    small = compact(large)
    assert np.allclose(small.object_vectors_MK, large.object_vectors_MK, rtol=1e-3, atol=1e-6)
    assert len(to_bytes(small)) < 0.6 * len(to_bytes(large))
    assert_same_profile(small, from_bytes(to_bytes(small)))
    assert_same_profile(small, compact(small))


def test_the_same_profile_gives_the_same_bytes() -> None:
    assert to_bytes(profile()) == to_bytes(profile())


def test_numpy_reads_the_bytes_without_us() -> None:
    with np.load(io.BytesIO(to_bytes(profile())), allow_pickle=False) as archive:
        assert np.array_equal(archive["embedding_D"], profile().embedding_D)


def test_a_number_that_is_not_finite_is_refused() -> None:
    broken = replace(profile(), embedding_D=np.array([np.nan], dtype=np.float32))
    with pytest.raises(StorageError, match="embedding_D that are not finite"):
        to_bytes(broken)
    with pytest.raises(StorageError, match="cannot be stored"):
        to_bytes(replace(profile(), embedding_noise=(float("inf"), 0.0)))


def test_every_flipped_bit_is_noticed() -> None:
    data = to_bytes(profile())
    for position in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(StorageError, match="damaged"):
            from_bytes(bytes(damaged))


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 500])
def test_a_truncated_profile_is_noticed(length: int) -> None:
    with pytest.raises(StorageError, match="damaged"):
        from_bytes(to_bytes(profile())[:length])


def _resealed(arrays: dict[str, Any]) -> bytes:
    """A file as an attacker would write it: any arrays under a right checksum."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    body = buffer.getvalue()[:-2] + struct.pack("<H", 64)
    return body + hashlib.sha256(body).hexdigest().encode()


class _Trap:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


def _arrays() -> dict[str, Any]:
    with np.load(io.BytesIO(to_bytes(profile())), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_a_pickle_among_the_arrays_is_refused_and_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    data = _resealed({**_arrays(), "image_hashes_NB": np.array([_Trap(marker)], dtype=object)})
    with pytest.raises(StorageError, match="cannot be read"):
        from_bytes(data)
    assert not marker.exists()


@pytest.mark.parametrize("change", [{"schema": 2}, {"schema": 1, "surprise": 0}, {"num_images": 3}])
def test_another_schema_or_shape_is_refused(change: dict[str, Any]) -> None:
    arrays = _arrays()
    meta = json.loads(arrays["meta"].tobytes()) | change
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    with pytest.raises(StorageError):
        from_bytes(_resealed(arrays))


def test_a_file_is_read_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    file.write_bytes(to_bytes(profile()))
    assert_same_profile(profile(), load_profile(file))
    with pytest.raises(StorageError, match="Cannot read"):
        load_profile(tmp_path / "b.npz")
