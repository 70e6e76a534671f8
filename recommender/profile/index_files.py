"""The index on disk: a checked cache of the store's profiles, shared by all processes and brought up to date in place.

A folder holds a manifest and the segments it names. Segments never change: a new data set makes a new file out of the
last one, and the manifest, replaced last, names it instead. Readers need no lock; writers take one. What is damaged is
made again from the store, segment by segment.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from filelock import FileLock, Timeout

from recommender.errors import StorageError
from recommender.home import subfolder
from recommender.profile.checksummed_file import read_checksummed, write_checksummed
from recommender.profile.embedding import ENCODER
from recommender.profile.index import SourceIndex
from recommender.profile.segments import SEGMENT_SETS, Segment
from recommender.profile.shipped import builtin_profiles
from recommender.records import Profile
from recommender.store import Store

SCHEMA = 2
MANIFEST = "manifest"
LOCK_TIMEOUT_S = 60
READ_TRIES = 5  # a writer may replace a segment between the manifest and it

logger = logging.getLogger(__name__)
_loaded: dict[Path, tuple[SourceIndex, dict[str, Segment]]] = {}  # by folder; segments by file
_loading = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """A segment in its file; `segment` None while it is not read."""

    file: str
    hashes: tuple[str, ...]
    segment: Segment | None = None


def open_index(store: Store, *, folder: Path | None = None) -> SourceIndex:
    """The index over every known profile, shipped and stored.

    Read from its files, or kept from the last call of this process; profiles that came or went since are put in or
    taken out first. Files that cannot be written are only logged, since the index in memory is right.
    """
    place = folder or _folder_of(store)
    generation = _generation(store.profiles.generation())
    with _loading:
        index, segments = _loaded.get(place, (None, {}))
        if index is not None and index.generation == generation:
            return index
        pieces, generation = _current(store, place, generation, segments)
        index = SourceIndex([_segment_of(one) for one in pieces], generation=generation)
        _loaded[place] = index, {one.file: _segment_of(one) for one in pieces}
        return index


def update_index(store: Store, *, folder: Path | None = None) -> None:
    """Bring the files up to date without reading more of them than changes: for whoever adds or removes profiles."""
    place = folder or _folder_of(store)
    pieces, found = _manifest(place)
    if found == _generation(store.profiles.generation()):
        return
    try:
        with _locked(place):
            pieces, _ = _manifest(place)
            _write(place, *_changed(store, place, pieces), on_disk=pieces)
    except (StorageError, OSError, Timeout) as error:
        logger.warning("The index in %s was not kept: %s", place, error)


def _current(
    store: Store, place: Path, generation: str, known: Mapping[str, Segment]
) -> tuple[list[_Piece], str]:
    """Every piece, read, and the generation they are of."""
    for _ in range(READ_TRIES):
        pieces, found = _manifest(place)
        try:
            sound = _sound(place, pieces, known)
        except FileNotFoundError:  # a writer replaced it just now
            continue
        if found == generation and len(sound) == len(pieces):
            return sound, generation
        break
    try:
        with _locked(place):
            listed, _ = _manifest(place)  # again: another process may have done it
            sound = _sound(place, listed, known, missing_ok=True)
            pieces, generation = _changed(store, place, sound)
            _write(place, pieces, generation, on_disk=listed)
    except (StorageError, OSError, Timeout) as error:
        logger.warning("The index in %s was not kept: %s", place, error)
        pieces, generation = _changed(
            store, place, _sound(place, _manifest(place)[0], known, missing_ok=True)
        )
    return pieces, generation


def _write(place: Path, pieces: Sequence[_Piece], generation: str, *, on_disk: Sequence[_Piece]) -> None:
    """Write the new segments, then the manifest that names them, and drop the files that nobody needs."""
    old = {one.file for one in on_disk}
    for one in pieces:
        if one.file not in old:
            _segment_of(one).write(place / one.file)
    listed = [{"file": one.file, "hashes": one.hashes} for one in pieces]
    write_checksummed(place / MANIFEST, {"schema": SCHEMA, "generation": generation, "segments": listed}, [])
    named = {one.file for one in pieces}
    for file in place.glob("*.segment"):
        if file.name not in named:
            file.unlink(missing_ok=True)


def _changed(store: Store, place: Path, pieces: Sequence[_Piece]) -> tuple[list[_Piece], str]:
    """The pieces for what the store holds now, unchanged ones as they are, and its generation.

    A content's hash and the encoder fix its vectors, so that only data sets come and go.
    """
    stored, hashes = store.profiles.hashes(ENCODER)
    wanted = hashes | set(builtin_profiles())
    indexed = {one for piece in pieces for one in piece.hashes}
    gone, added = indexed - wanted, sorted(wanted - indexed)
    kept = []
    for piece in pieces:
        left = piece if gone.isdisjoint(piece.hashes) else _new(_read(place, piece).without(gone))
        if left.hashes:
            kept.append(left)
    room = SEGMENT_SETS - len(kept[-1].hashes) if kept else 0
    for profiles in _in_pieces(store, added, room):
        fresh = Segment.build(profiles)
        if kept and len(kept[-1].hashes) + len(profiles) <= SEGMENT_SETS:
            fresh = _read(place, kept.pop()).with_sets(fresh)
        kept.append(_new(fresh))
    return kept, _generation(stored)


def _in_pieces(store: Store, hashes: Sequence[str], room: int) -> Iterator[list[Profile]]:
    """The profiles of these data sets, first as many as there is room for, then segment by segment."""
    cuts = [0, *range(room, len(hashes), SEGMENT_SETS), len(hashes)]
    for start, end in pairwise(cuts):
        asked = hashes[start:end]
        found = builtin_profiles() | store.profiles.get_all(asked, ENCODER) if asked else {}
        profiles = [found[one] for one in asked if one in found]
        if profiles:
            yield profiles


def _new(segment: Segment) -> _Piece:
    return _Piece(file=f"{uuid.uuid4().hex}.segment", hashes=segment.hashes, segment=segment)


def _manifest(place: Path) -> tuple[list[_Piece], str]:
    """The pieces it lists, unread, and the generation they are of; nothing where there is no sound one."""
    try:
        header, _ = read_checksummed(place / MANIFEST)
    except FileNotFoundError:
        return [], ""
    except StorageError as error:
        logger.warning("%s Making it again from the store.", error)
        return [], ""
    if header.get("schema") != SCHEMA:
        return [], ""
    pieces = [_Piece(file=one["file"], hashes=tuple(one["hashes"])) for one in header["segments"]]
    return pieces, header["generation"]


def _sound(
    place: Path, pieces: Sequence[_Piece], known: Mapping[str, Segment], *, missing_ok: bool = False
) -> list[_Piece]:
    """The segments that can be read, read. Raises FileNotFoundError for one that is not there, unless `missing_ok`."""
    sound = []
    for piece in pieces:
        try:
            segment = known.get(piece.file) or _read(place, piece)
        except StorageError as error:
            logger.warning("%s Making it again from the store.", error)
        except FileNotFoundError:
            if not missing_ok:
                raise
        else:
            sound.append(replace(piece, segment=segment))
    return sound


def _read(place: Path, piece: _Piece) -> Segment:
    return piece.segment or Segment.read(place / piece.file)


def _segment_of(piece: _Piece) -> Segment:
    if piece.segment is None:
        raise ValueError(f"{piece.file} was not read")
    return piece.segment


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / "lock", timeout=LOCK_TIMEOUT_S):
        yield


def _generation(stored: str) -> str:
    """The generation of the store's profiles together with those that ship."""
    text = "\n".join((str(SCHEMA), ENCODER, stored, *sorted(builtin_profiles())))
    return hashlib.sha256(text.encode()).hexdigest()


def _folder_of(store: Store) -> Path:
    """One folder a store and encoder: two stores of one user do not drive each other's data sets out."""
    address = hashlib.sha256(store.url.encode()).hexdigest()[:16]
    return subfolder("index") / f"{ENCODER}-{address}"
