"""The index on disk: brought up to date in place, shared, and never believed when damaged (rows F1, P8, R10)."""

from __future__ import annotations

import multiprocessing
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.errors import StorageError
from recommender.profile import index_files, segments
from recommender.profile.embedding import ENCODER
from recommender.profile.index import SourceIndex
from recommender.profile.index_files import MANIFEST, open_index, update_index
from recommender.profile.segments import Segment
from recommender.profile.shipped import builtin_profiles
from recommender.records import Profile
from recommender.store import Store
from tests.profile.synthetic import synthetic_profile
from tests.profile.test_index import answer

MUTATIONS = 600
ADDED = synthetic_profile("added", centre=5.0, seed=50)


@pytest.fixture
def store(store: Store, profiles: list[Profile]) -> Store:
    store.profiles.put_all(profiles)
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


def fresh(store: Store, folder: Path) -> SourceIndex:
    """The index as a new process finds it."""
    index_files._loaded.clear()
    return open_index(store, folder=folder)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "lock"}


def test_sound_files_are_used_and_give_the_same_answers(
    store: Store, folder: Path, profiles: list[Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fresh(store, folder)
    before = files(folder)
    monkeypatch.setattr(Segment, "build", lambda profiles: pytest.fail("rebuilt"))
    again = fresh(store, folder)
    assert files(folder) == before
    assert answer(again, profiles[4]) == answer(first, profiles[4])
    assert set(again.hashes) == {p.dataset_hash for p in profiles} | set(builtin_profiles())
    assert open_index(store, folder=folder) is again  # nothing is read where nothing changed


def test_a_profile_that_comes_or_goes_changes_one_segment(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SETS", 8)
    monkeypatch.setattr(index_files, "SEGMENT_SETS", 8)
    old = fresh(store, folder)
    before = files(folder)
    store.profiles.put(ADDED)
    update_index(store, folder=folder)
    after = files(folder)
    assert len(set(before) - set(after)) == len(set(after) - set(before)) == 1  # the last segment, made anew
    new = fresh(store, folder)
    assert new.search(ADDED, 1)[0].dataset_hash == ADDED.dataset_hash
    assert len(new) == len(old) + 1
    assert max(len(segment.hashes) for segment in new.segments) == 8
    store.profiles.remove(ADDED.dataset_hash, ENCODER)
    update_index(store, folder=folder)
    assert len(set(after) - set(files(folder))) == 1
    assert set(fresh(store, folder).hashes) == set(old.hashes)
    assert answer(fresh(store, folder), ADDED) == answer(old, ADDED)


def test_a_question_catches_up_with_what_others_stored(store: Store, folder: Path) -> None:
    old = fresh(store, folder)
    with Store(store.url) as other:
        other.profiles.put(ADDED)
    new = open_index(store, folder=folder)
    assert ADDED.dataset_hash in new.hashes
    assert ADDED.dataset_hash not in old.hashes


@pytest.mark.slow
def test_damaged_segments_are_noticed_and_made_again(
    store: Store, folder: Path, profiles: list[Profile], caplog: pytest.LogCaptureFixture
) -> None:
    """Row F1: each of 600 mutations is refused before faiss sees a byte, and the answers stay right."""
    truth = answer(fresh(store, folder), profiles[4])
    rng = np.random.default_rng(0)
    for number in range(MUTATIONS):
        (file,) = folder.glob("*.segment")
        sound = file.read_bytes()
        file.write_bytes(_mutated(sound, rng, kind=number % 4))
        with pytest.raises(StorageError):
            Segment.read(file)
        if number % 60 == 0:
            caplog.clear()
            assert answer(fresh(store, folder), profiles[4]) == truth
            assert "Making it again" in caplog.text
        else:
            file.write_bytes(sound)


@pytest.mark.parametrize("kind", range(4))
def test_a_damaged_manifest_is_made_again(
    kind: int, store: Store, folder: Path, profiles: list[Profile]
) -> None:
    truth = answer(fresh(store, folder), profiles[4])
    manifest = folder / MANIFEST
    manifest.write_bytes(_mutated(manifest.read_bytes(), np.random.default_rng(kind), kind=kind))
    assert answer(fresh(store, folder), profiles[4]) == truth
    assert len(list(folder.glob("*.segment"))) == 1


def _mutated(content: bytes, rng: np.random.Generator, *, kind: int) -> bytes:
    position = int(rng.integers(0, len(content)))
    if kind == 0:
        return content[:position]
    if kind == 1:
        return content + bytes(rng.integers(0, 256, 1 + position % 50, dtype=np.uint8))
    changed = bytearray(content)
    if kind == 2:
        changed[position] ^= 1 << int(rng.integers(0, 8))
    else:
        changed[position : position + 8] = bytes(x ^ 0xFF for x in changed[position : position + 8])
    return bytes(changed)


def test_a_segment_that_is_gone_is_made_again(store: Store, folder: Path, profiles: list[Profile]) -> None:
    truth = answer(fresh(store, folder), profiles[4])
    for file in folder.glob("*.segment"):
        file.unlink()
    assert answer(fresh(store, folder), profiles[4]) == truth


def test_profiles_of_another_encoder_stay_out(store: Store, folder: Path, profiles: list[Profile]) -> None:
    other = replace(profiles[0], encoder="other-probe", dataset_hash="f" * 64)
    store.profiles.put(other)
    assert "f" * 64 not in fresh(store, folder).hashes


def test_a_full_disk_leaves_the_old_files(
    store: Store, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Row R10: the write fails half way (a file size limit stands for the full disk)."""
    index = fresh(store, folder)
    before = files(folder)
    store.profiles.put(ADDED)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (min(len(content) for content in before.values()) // 2, hard))
    try:
        current = fresh(store, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(folder) == before
    assert len(current) == len(index) + 1  # the answer is right although it could not be kept
    assert "was not kept" in caplog.text


def test_an_unusable_folder_is_no_obstacle(store: Store, folder: Path, profiles: list[Profile]) -> None:
    folder.write_text("a file where the folder should be")
    assert answer(fresh(store, folder), profiles[2])[0][0] == profiles[2].dataset_hash


def _add_some(url: str, folder: Path, first: int) -> None:
    with Store(url) as store:
        for number in range(first, first + 5):
            store.profiles.put(synthetic_profile(f"more{number}", centre=3 + 0.1 * number, seed=number))
            update_index(store, folder=folder)
            assert len(open_index(store, folder=folder)) > 0


@pytest.mark.slow
def test_processes_that_add_at_once_lose_nothing(store: Store, folder: Path) -> None:
    before = fresh(store, folder)
    context = multiprocessing.get_context("spawn")
    adders = [context.Process(target=_add_some, args=(store.url, folder, 100 * n)) for n in range(2)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join(timeout=120)
        assert adder.exitcode == 0
    stored = store.profiles.hashes(ENCODER)[1]
    assert len(stored) == 12 + 10
    index_files._loaded.clear()
    update_index(store, folder=folder)
    assert set(fresh(store, folder).hashes) == stored | set(builtin_profiles())
    assert len(before) + 10 == len(fresh(store, folder))
