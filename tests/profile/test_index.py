"""The index against brute force."""

from __future__ import annotations

import threading
from typing import Literal

import numpy as np
import pytest

from recommender.profile import compare
from recommender.profile.embedding import unit_rows
from recommender.profile.index import SourceIndex
from recommender.profile.segments import OBJECTS_PER_SET
from recommender.records import Profile
from tests.profile.synthetic import synthetic_profile

HALF_PRECISION = 0.003  # of a similarity


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
        exact = {p.dataset_hash: compare(target, p).whole for p in distant}
        assert {hit.dataset_hash for hit in found} == set(exact)
        for hit, true in zip(found, sorted(exact.values(), reverse=True), strict=True):
            assert hit.similarity == pytest.approx(exact[hit.dataset_hash], abs=HALF_PRECISION)
            assert exact[hit.dataset_hash] == pytest.approx(true, abs=2 * HALF_PRECISION)


@pytest.mark.parametrize("block", ["image", "object"])
def test_sets_are_found_by_one_block_alone(
    profiles: list[Profile], block: Literal["image", "object"]
) -> None:
    target = synthetic_profile("target", centre=0.55, images=15, seed=100)
    found = SourceIndex.build(profiles).search(target, 4, by=block)
    exact = {p.dataset_hash: getattr(compare(target, p), block) for p in profiles}
    assert found[0].similarity == pytest.approx(max(exact.values()), abs=0.01)
    for hit in found:
        assert hit.similarity == pytest.approx(exact[hit.dataset_hash], abs=0.01)


def test_a_target_without_boxes_is_compared_by_images(profiles: list[Profile]) -> None:
    bare = synthetic_profile("bare", centre=0.8, objects=0, images=30, seed=77)
    found = SourceIndex.build(profiles).search(bare, 3)
    exact = {p.dataset_hash: compare(bare, p).whole for p in profiles}
    for hit, true in zip(found, sorted(exact.values(), reverse=True), strict=False):
        assert exact[hit.dataset_hash] == pytest.approx(true, abs=2 * HALF_PRECISION)


def test_objects_are_found_as_by_brute_force(profiles: list[Profile]) -> None:
    queries = synthetic_profile("target", centre=0.4, seed=9).object_vectors_MK[:7]
    samples = [p.object_vectors_MK[:OBJECTS_PER_SET] for p in profiles]
    owners = [
        (p.dataset_hash, row)
        for p in profiles
        for row in range(min(len(p.object_vectors_MK), OBJECTS_PER_SET))
    ]
    cosines = unit_rows(queries) @ unit_rows(np.concatenate(samples)).T
    found = SourceIndex.build(profiles).search_objects(queries, 4)
    for hits, row in zip(found, cosines, strict=True):
        for hit, best in zip(hits, np.sort(row)[::-1], strict=False):
            assert hit.cosine == pytest.approx(best, abs=HALF_PRECISION)
            assert row[owners.index((hit.dataset_hash, hit.row))] == pytest.approx(best, abs=HALF_PRECISION)


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
