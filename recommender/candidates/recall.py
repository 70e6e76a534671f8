"""The registered checkpoints that are forecast: a cheap search over all of them, then at most RECALLED.

Two phases, as in recall-and-select (arXiv 2404.00069): the index finds the data sets nearest to the target, and what
is cheap to know of their checkpoints decides who is looked at closely. What that loses against a forecast of every
checkpoint: `python -m benchmarks.shelf_scale`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from recommender.evidence.metadata import class_overlap
from recommender.forecast.history import nearest_targets
from recommender.forecast.rules import features, prior_weights
from recommender.forecast.situation import Situation
from recommender.records import Budget, Checkpoint, Evidence, Profile, Start
from recommender.store import Store

if TYPE_CHECKING:
    from recommender.profile.index import Block, SourceIndex

RECALLED = 64  # registered checkpoints that are forecast; no more than that are all forecast
POOL = 512  # data sets found by each similarity, among whose checkpoints the rest is chosen
NEAREST = 8  # places for the nearest by each of the four similarities
BY_RECORD = 8  # places for those that did best on the nearest past targets
WITHOUT_SOURCE = 8  # places for those whose source data set is not known
PER_SOURCE = 4  # checkpoints of one data set in the pool, its best on itself first
QUERY_OBJECTS = 24
AT_MOST = 8  # times as many are read as there are places, since some may not take part
UNKNOWN = 0.5  # similarity of a source that was not found

Locate = Callable[[Checkpoint], Checkpoint]
Allowed = Callable[[Checkpoint], bool]


def recall(
    store: Store, target: Profile, budget: Budget, *, locate: Locate, allowed: Allowed
) -> tuple[Checkpoint, ...]:
    """The registered checkpoints to forecast for a target, at most RECALLED, by name.

    `locate` says where a checkpoint's weights are today, `allowed` whether it may take part.
    """

    def fit(found: Iterable[Checkpoint]) -> list[Checkpoint]:
        located = (locate(one) for one in found if one.kept)
        return [one for one in located if one.available and allowed(one)]

    if store.checkpoints.count() <= RECALLED:
        return tuple(fit(store.checkpoints.list()))
    from recommender.profile.index_files import open_index  # here: it loads faiss

    index, size = open_index(store), POOL
    while True:
        nearest, similarity = _nearest(index, target, size)
        sources = {one for hashes in nearest for one in hashes}
        pool = _few_of_each(fit(store.checkpoints.of_sources(sources, each=AT_MOST * PER_SOURCE)))
        if len(pool) >= RECALLED or size >= len(index):
            break
        size *= 4  # few of the nearest may take part: look further
    chosen = {one.name: one for hashes in nearest for one in _first_of_each(hashes, pool)[:NEAREST]}
    recorded = fit(store.checkpoints.named(_best_by_record(store, index, target)))
    sourceless = fit(store.checkpoints.without_source(AT_MOST * WITHOUT_SOURCE))
    others = [*recorded[:BY_RECORD], *sorted(sourceless, key=_by_own_score)[:WITHOUT_SOURCE]]
    chosen |= {one.name: one for one in others}
    ranked = _by_rules(pool, target, budget, similarity)
    for one in ranked:
        if len(chosen) >= RECALLED:
            break
        chosen.setdefault(one.name, one)
    return tuple(one for _, one in sorted(chosen.items()))


def _nearest(index: SourceIndex, target: Profile, size: int) -> tuple[list[list[str]], dict[str, float]]:
    """Data sets by whole, image and object similarity and by single objects, nearest first; whole similarities."""
    blocks: tuple[Block, ...] = ("whole", "image", "object")
    hits = [index.search(target, size, by=block) for block in blocks]
    similarity = {hit.dataset_hash: hit.similarity for hit in hits[0]}
    objects = index.search_objects(target.object_vectors_MK[:QUERY_OBJECTS], 4, exclude=[target.dataset_hash])
    votes = Counter(hit.dataset_hash for near in objects for hit in near)
    return [
        *([hit.dataset_hash for hit in found] for found in hits),
        [one for one, _ in votes.most_common()],
    ], similarity


def _first_of_each(hashes: Sequence[str], pool: Sequence[Checkpoint]) -> list[Checkpoint]:
    """One checkpoint of each of these data sets that has any, in their order: the one that scores best on it."""
    best: dict[str | None, Checkpoint] = {}
    for one in pool:
        if one.source_hash not in best or (one.source_score or 0) > (best[one.source_hash].source_score or 0):
            best[one.source_hash] = one
    return [best[one] for one in hashes if one in best]


def _few_of_each(pool: Sequence[Checkpoint]) -> list[Checkpoint]:
    """At most PER_SOURCE checkpoints of each source data set, those that score best on it."""
    seen: Counter[str | None] = Counter()
    few = []
    for one in sorted(pool, key=_by_own_score):
        seen[one.source_hash] += 1
        if seen[one.source_hash] <= PER_SOURCE:
            few.append(one)
    return few


def _by_own_score(checkpoint: Checkpoint) -> tuple[float, str]:
    """Sorts by the score on the checkpoint's own data, best first, then by name."""
    return -(-1.0 if checkpoint.source_score is None else checkpoint.source_score), checkpoint.name


def _best_by_record(store: Store, index: SourceIndex, target: Profile) -> list[str]:
    """Names of the checkpoints with the best mean z-score over the nearest past targets, shrunk by one run of 0."""
    targets = nearest_targets(index, target, store.runs.by_target())
    by_target: dict[str, list[tuple[str, float]]] = {}
    for result in store.runs.results(targets):
        by_target.setdefault(result.target_hash, []).append((result.checkpoint, result.score))
    records: dict[str, list[float]] = {}
    for results in by_target.values():
        scores = np.array([score for _, score in results])
        for name, score in results:
            records.setdefault(name, []).append((score - scores.mean()) / (scores.std() or 1.0))
    means = {name: sum(scores) / (len(scores) + 1) for name, scores in records.items()}
    return [name for name, mean in sorted(means.items(), key=lambda item: -item[1]) if mean > 0][
        : 4 * BY_RECORD
    ]


def _by_rules(
    pool: Sequence[Checkpoint], target: Profile, budget: Budget, similarity: dict[str, float]
) -> list[Checkpoint]:
    """The pool by the forecast's rules on what is known without reading a profile, best first."""
    if not pool:
        return []
    situations = [
        Situation(
            target=target,
            num_train_images=target.num_images.train,
            budget=budget,
            start=Start(checkpoint=one.name, mode="full"),
            checkpoint=one,
            source=None,
            evidence=Evidence(
                similarity=similarity.get(one.source_hash or "", UNKNOWN),
                class_overlap=class_overlap(target.class_names, one.class_names),
            ),
        )
        for one in pool
    ]
    weights, _, _ = prior_weights()
    means = features(situations) @ weights
    return [pool[i] for i in sorted(range(len(pool)), key=lambda i: (-means[i], pool[i].name))]
