"""The index against brute force, and its file against damage (rows F1, P8, R10)."""

from __future__ import annotations

import logging
import resource
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.errors import StorageError
from recommender.profile import compare
from recommender.profile.embedding import ENCODER
from recommender.profile.index import SourceIndex, open_index, unit_rows
from recommender.profile.known import builtin_profiles
from recommender.records import Profile
from recommender.store import Store
from tests.profile.synthetic import synthetic_profile

MUTATIONS = 600


@pytest.fixture(scope="module")
def profiles() -> list[Profile]:
    return [
        synthetic_profile(f"set{n}", centre=0.1 * n, images=6 + 3 * n, objects=1 + n % 3, seed=n)
        for n in range(12)
    ]


@pytest.fixture
def store(tmp_path: Path, profiles: list[Profile]) -> Store:
    opened = Store(tmp_path / "store.sqlite3")
    for profile in profiles:
        opened.profiles.put(profile)
    return opened


def by_brute_force(target: Profile, sources: list[Profile]) -> list[str]:
    return [s.dataset_hash for s in sorted(sources, key=lambda s: compare(target, s).whole, reverse=True)]


def answer(index: SourceIndex, target: Profile) -> tuple[list[str], list[tuple[str, int]]]:
    sets = [hit.dataset_hash for hit in index.search(target, 5)]
    objects = [
        (hit.dataset_hash, hit.row) for hit in index.search_objects(target.object_vectors_MK[:1], 5)[0]
    ]
    return sets, objects


def test_sets_are_ordered_as_by_brute_force(profiles: list[Profile]) -> None:
    index = SourceIndex.build(profiles)
    for seed in range(5):
        # far enough from every set that no similarity is clipped to 1, where ties have no order
        target = synthetic_profile("target", centre=0.55 + 0.1 * seed, images=15, seed=100 + seed)
        distant = [p for p in profiles if compare(target, p).whole < 0.99]
        found = index.search(target, len(profiles), among=[p.dataset_hash for p in distant])
        assert [hit.dataset_hash for hit in found] == by_brute_force(target, distant)
        exact = {p.dataset_hash: compare(target, p).whole for p in profiles}
        for hit in found:
            assert hit.similarity == pytest.approx(exact[hit.dataset_hash], abs=0.02)


def test_a_target_without_boxes_is_compared_by_images(profiles: list[Profile]) -> None:
    bare = synthetic_profile("bare", centre=0.8, objects=0, images=30, seed=77)
    found = SourceIndex.build(profiles).search(bare, 3)
    assert [hit.dataset_hash for hit in found] == by_brute_force(bare, profiles)[:3]
    assert found[0].similarity == pytest.approx(compare(bare, profiles[8]).whole, abs=0.05)


def test_objects_are_found_as_by_brute_force(profiles: list[Profile]) -> None:
    queries = synthetic_profile("target", centre=0.4, seed=9).object_vectors_MK[:7]
    everything = np.concatenate([p.object_vectors_MK for p in profiles])
    owners = [(p.dataset_hash, row) for p in profiles for row in range(len(p.object_vectors_MK))]
    cosines = unit_rows(queries) @ unit_rows(everything).T
    found = SourceIndex.build(profiles).search_objects(queries, 4)
    for hits, row in zip(found, cosines, strict=True):
        best = np.argsort(-row)[:4]
        assert [(hit.dataset_hash, hit.row) for hit in hits] == [owners[number] for number in best]
        assert hits[0].cosine == pytest.approx(row[best[0]], abs=1e-5)


def test_among_and_exclude_restrict_both_searches(profiles: list[Profile]) -> None:
    index, target = SourceIndex.build(profiles), profiles[3]
    assert index.search(target, 1)[0].dataset_hash == target.dataset_hash
    rest = index.search(target, 50, exclude=[target.dataset_hash])
    assert len(rest) == len(profiles) - 1
    assert target.dataset_hash not in {hit.dataset_hash for hit in rest}
    two = {profiles[0].dataset_hash, profiles[9].dataset_hash}
    assert {hit.dataset_hash for hit in index.search(target, 5, among=two)} == two
    objects = index.search_objects(
        target.object_vectors_MK[:2], 5, among=two, exclude=[profiles[0].dataset_hash]
    )
    assert {hit.dataset_hash for hits in objects for hit in hits} == {profiles[9].dataset_hash}
    assert index.search(target, 3, among=["unknown"]) == ()


def test_empty_indexes_answer_with_nothing(profiles: list[Profile]) -> None:
    empty = SourceIndex.build([])
    assert empty.search(profiles[0], 3) == ()
    assert empty.search_objects(profiles[0].object_vectors_MK[:2], 3) == ((), ())
    bare = SourceIndex.build([synthetic_profile("bare", objects=0)])
    assert bare.search_objects(profiles[0].object_vectors_MK[:1], 3) == ((),)
    assert len(bare.search(profiles[0], 3)) == 1


def test_a_sound_file_is_used_and_gives_the_same_answers(
    store: Store, tmp_path: Path, profiles: list[Profile]
) -> None:
    first = open_index(store, folder=tmp_path)
    file = tmp_path / f"{ENCODER}.index"
    before = file.stat().st_mtime_ns
    again = open_index(store, folder=tmp_path)
    assert file.stat().st_mtime_ns == before
    assert answer(again, profiles[4]) == answer(first, profiles[4])


def test_damaged_files_are_noticed_and_rebuilt(
    store: Store, tmp_path: Path, profiles: list[Profile], caplog: pytest.LogCaptureFixture
) -> None:
    """Row F1: each of 600 mutations is refused before faiss sees a byte, and the answers stay right."""
    truth = answer(open_index(store, folder=tmp_path), profiles[4])
    file = tmp_path / f"{ENCODER}.index"
    sound = file.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(MUTATIONS):
        file.write_bytes(_mutated(sound, rng, kind=number % 4))
        with pytest.raises(StorageError):
            SourceIndex.read(file)
        if number % 20 == 0:
            caplog.clear()
            assert answer(open_index(store, folder=tmp_path), profiles[4]) == truth
            assert "Rebuilding it" in caplog.text
            assert file.read_bytes() == sound


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


def test_a_stale_file_is_rebuilt(
    store: Store, tmp_path: Path, profiles: list[Profile], caplog: pytest.LogCaptureFixture
) -> None:
    old = open_index(store, folder=tmp_path)
    added = synthetic_profile("added", centre=5.0, seed=50)
    store.profiles.put(added)
    with caplog.at_level(logging.INFO):
        new = open_index(store, folder=tmp_path)
    assert "older than the store" in caplog.text
    assert new.search(added, 1)[0].dataset_hash == added.dataset_hash
    assert (
        len(old) + 1
        == len(new)
        == len({p.dataset_hash for p in (*profiles, added)} | set(builtin_profiles()))
    )
    store.profiles.remove(added.dataset_hash, ENCODER)
    assert len(open_index(store, folder=tmp_path)) == len(old)


def test_profiles_of_another_encoder_stay_out(store: Store, tmp_path: Path, profiles: list[Profile]) -> None:
    other = replace(profiles[0], encoder="other-probe", dataset_hash="f" * 64)
    store.profiles.put(other)
    assert "f" * 64 not in open_index(store, folder=tmp_path).hashes


def test_a_full_disk_leaves_the_old_file(
    store: Store, tmp_path: Path, profiles: list[Profile], caplog: pytest.LogCaptureFixture
) -> None:
    """Row R10: the write fails half way (a file size limit stands for the full disk)."""
    index = open_index(store, folder=tmp_path)
    file = tmp_path / f"{ENCODER}.index"
    sound = file.read_bytes()
    store.profiles.put(synthetic_profile("added", centre=5.0, seed=50))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(sound) // 2, hard))
    try:
        with pytest.raises(StorageError, match="Free some disk space"):
            index.write(file)
        renewed = SourceIndex.build(profiles[:6])
        current = open_index(store, folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == sound
    assert {path.name for path in tmp_path.iterdir()} == {file.name, "store.sqlite3"}
    assert len(current) == len(index) + 1  # the answer is right although it could not be kept
    assert "was not kept" in caplog.text
    renewed.write(file)
    assert len(SourceIndex.read(file)) == 6


def test_an_unreadable_cache_is_no_obstacle(store: Store, tmp_path: Path, profiles: list[Profile]) -> None:
    file = tmp_path / f"{ENCODER}.index"
    file.mkdir()  # reading it fails, and so does replacing it
    assert answer(open_index(store, folder=tmp_path), profiles[2])[0][0] == profiles[2].dataset_hash


def test_searches_while_the_index_is_swapped_see_one_index_or_the_other(profiles: list[Profile]) -> None:
    """Row L2: an index never changes; whoever holds it keeps a whole one."""
    halves = [SourceIndex.build(profiles[:6]), SourceIndex.build(profiles[6:])]
    truths = [answer(half, profiles[5]) for half in halves]
    current = halves[0]
    wrong: list[object] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            found = answer(current, profiles[5])
            if found not in truths:
                wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(60):
        current = SourceIndex.build(profiles[:6] if turn % 2 else profiles[6:])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
