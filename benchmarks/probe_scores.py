"""Candidate probes and embeddings, and how well each one's similarity orders real transfers.

Shapes: N images or objects of a set, R raw feature dimensions, D kernel features.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.fit_probe_basis import FIT_SETS, NUM_COMPONENTS, PER_SET, fit_basis
from benchmarks.probe_features import SEED, SetFeatures
from benchmarks.truth.ledger import read_runs
from recommender.profile.basis import Basis
from recommender.profile.embedding import MeanEmbedding
from recommender.records import FloatArray, IntArray

TRUTH = Path("benchmarks/truth/runs.jsonl")
RESULT = Path("benchmarks/results/probe_choice.md")
SIMILAR = (("mask_wearing", "wider_face"), ("aerial_cars", "ships"), ("neu_det", "deep_pcb"))
DISSIMILAR = ("bccd", "fruit", "neu_det", "website_ui")  # nothing like them is among the sets
ACQUAINTED = ("aerial_cars", "coco_mini", "mask_wearing", "raccoon", "ships", "wider_face")
COCO_SET = "coco_mini"  # stands for the data of the COCO checkpoint
MIN_STARTS = 5
BOOTSTRAPS = 2000
HALF_IMAGES = 30
HALF_REPEATS = 10

Truth = dict[str, dict[str, float]]  # target → source → mAP50-95
Embedding = tuple[NDArray[np.float64], float]  # mean, noise
Rows = dict[str, FloatArray]
Distances = dict[tuple[str, str], float]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A way to turn a set into a vector and two vectors into a similarity."""

    network: str
    layers: tuple[int, ...]
    bandwidth: float = 1.0
    components: int = NUM_COMPONENTS
    block: Literal["whole", "image", "object"] = "whole"
    distance: Literal["squared", "cosine"] = "squared"
    noise_off: bool = True

    def __str__(self) -> str:
        layers = "+".join(map(str, self.layers)) if self.layers != (0,) else "–"
        extras = [
            text
            for text, differs in (
                (f"bandwidth {self.bandwidth}", self.bandwidth != 1.0),
                (f"{self.components} components", self.components != NUM_COMPONENTS),
                (f"{self.block} block", self.block != "whole"),
                (self.distance, self.distance != "squared"),
                ("noise left in", not self.noise_off),
            )
            if differs
        ]
        return f"{self.network} | {layers} | {', '.join(extras) or '–'}"


SHIPPED = Candidate(network="yolo11n", layers=(8, 10))
CANDIDATES = (
    SHIPPED,
    *(
        replace(SHIPPED, layers=layers)
        for layers in (
            (2, 4),
            (2, 4, 6),
            (4, 6),
            (6,),
            (4, 6, 8),
            (6, 8),
            (6, 10),
            (10,),
            (4, 6, 10),
            (6, 8, 10),
            (16, 19, 22),
            (13,),
        )
    ),
    *(
        Candidate(network="yolov8n", layers=layers)
        for layers in ((4, 6, 9), (4, 6, 8), (6, 9), (8, 9), (15, 18, 21))
    ),
    *(
        Candidate(network="yolov5n", layers=layers)
        for layers in ((4, 6, 9), (4, 6, 8), (6, 9), (8, 9), (17, 20, 23))
    ),
    Candidate(network="random", layers=(6, 10)),
    Candidate(network="hand-made", layers=(0,)),
    replace(SHIPPED, bandwidth=0.5),
    replace(SHIPPED, bandwidth=2.0),
    replace(SHIPPED, components=32),
    replace(SHIPPED, components=128),
    replace(SHIPPED, block="image"),
    replace(SHIPPED, block="object"),
    replace(SHIPPED, distance="cosine"),
    replace(SHIPPED, noise_off=False),
)


@dataclass(frozen=True, kw_only=True)
class Score:
    """A candidate's marks: how well its similarity orders the starts of each target."""

    marks_T3: NDArray[np.float64]  # `agreement` on each target
    similar: tuple[int, ...]  # rank of the relative among all sets, both ways
    nearest: dict[str, tuple[str, float]]

    @property
    def apart(self) -> float:
        """The distance of the dissimilar sets' nearest ones, divided by that those of sets that have a relative."""
        dissimilar = np.mean([self.nearest[name][1] for name in DISSIMILAR])
        return float(dissimilar / np.mean([self.nearest[name][1] for name in ACQUAINTED]))


def read_truth(path: Path) -> Truth:
    """Best mAP50-95 of every full-mode run of the base recipe, mean over seeds; complete enough targets only."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in read_runs(path):
        source = run.start.checkpoint.removesuffix("-yolo11n")
        usable = run.status == "succeeded" and run.best is not None and run.start.mode == "full"
        if usable and run.recipe.fraction == 1.0 and run.recipe.epochs <= 20 and "from_random" not in source:
            assert run.best is not None
            found[run.target_name, COCO_SET if source == "coco" else source].append(run.best.score)
    truth: Truth = defaultdict(dict)
    for (target, source), values in found.items():
        truth[target][source] = float(np.mean(values))
    return {target: starts for target, starts in truth.items() if len(starts) >= MIN_STARTS}


def agreement(results: NDArray[np.float64], predicted: NDArray[np.float64]) -> tuple[float, float, float]:
    """Weighted Kendall τ, Spearman's ρ and Rel@1 of the starts of one target."""
    from scipy.stats import spearmanr, weightedtau

    return (
        float(weightedtau(results, predicted).statistic),
        float(spearmanr(results, predicted).statistic),
        float(results[predicted.argmax()] / results.max()),
    )


def evaluate(candidate: Candidate, features: dict[str, SetFeatures], truth: Truth) -> Score:
    """Embed every set as the candidate says, then compare its order with the truth's."""
    distances = distances_of(candidate, features)
    marks = []
    for target, starts in truth.items():
        sources = sorted(source for source in starts if source in features)
        results = np.array([starts[source] for source in sources])
        marks.append(agreement(results, np.array([-distances[target, source] for source in sources])))
    nearest = {}
    for name in features:
        other = min((o for o in features if o != name), key=lambda o: distances[name, o])
        nearest[name] = (other, distances[name, other])
    return Score(
        marks_T3=np.array(marks),
        similar=tuple(_rank(distances, features, *pair) for a, b in SIMILAR for pair in ((a, b), (b, a))),
        nearest=nearest,
    )


def distances_of(candidate: Candidate, features: dict[str, SetFeatures]) -> Distances:
    """Distance of every two sets."""
    images, objects = _joined(candidate, features)
    blocks = []
    if candidate.block != "object":
        basis = _basis(candidate, images)
        blocks.append({name: _embed(basis, rows, np.arange(len(rows))) for name, rows in images.items()})
    if candidate.block != "image":
        basis = _basis(candidate, objects)
        blocks.append({name: _embed(basis, rows, features[name].owners_M) for name, rows in objects.items()})
    return {
        (a, b): float(np.mean([_distance(candidate, block[a], block[b]) for block in blocks]))
        for a in features
        for b in features
    }


def _joined(candidate: Candidate, features: dict[str, SetFeatures]) -> tuple[Rows, Rows]:
    """Of every set the candidate's layers side by side, of images and of objects."""
    images = {
        name: np.concatenate([f.images[layer] for layer in candidate.layers], axis=1)
        for name, f in features.items()
    }
    objects = {
        name: np.concatenate([f.objects[layer] for layer in candidate.layers], axis=1)
        for name, f in features.items()
    }
    return images, objects


def _basis(candidate: Candidate, rows: Rows) -> Basis:
    rng = np.random.default_rng(SEED)
    sample = [rows[name][rng.permutation(len(rows[name]))[:PER_SET]] for name in FIT_SETS]
    return fit_basis(
        np.concatenate(sample), num_components=candidate.components, bandwidth=candidate.bandwidth
    )


def _embed(basis: Basis, rows_NR: FloatArray, owners_N: IntArray) -> Embedding:
    features_ND = basis.kernel_features(basis.project(rows_NR))
    mean = MeanEmbedding(basis.num_features)
    for owner in np.unique(owners_N):
        mean.add(features_ND[owners_N == owner])
    return mean.mean(), mean.noise()


def _distance(candidate: Candidate, a: Embedding, b: Embedding) -> float:
    noise_a, noise_b = (a[1], b[1]) if candidate.noise_off else (0.0, 0.0)
    if candidate.distance == "cosine":
        lengths = (a[0] @ a[0] - noise_a) * (b[0] @ b[0] - noise_b)
        return float(1 - a[0] @ b[0] / np.sqrt(lengths))
    return max(0.0, float(((a[0] - b[0]) ** 2).sum()) - noise_a - noise_b)


def _rank(distances: Distances, names: dict[str, SetFeatures], name: str, similar: str) -> int:
    return 1 + sum(
        distances[name, other] < distances[name, similar] for other in names if other not in (name, similar)
    )


def half_distances(candidate: Candidate, features: dict[str, SetFeatures]) -> dict[str, tuple[float, float]]:
    """Of every set the mean and the largest distance of two disjoint samples of HALF_IMAGES images."""
    images, objects = _joined(candidate, features)
    image_basis, object_basis = _basis(candidate, images), _basis(candidate, objects)
    rng = np.random.default_rng(SEED)
    found = {}
    for name, f in features.items():
        distances = []
        for _ in range(HALF_REPEATS):
            order = rng.permutation(len(images[name]))
            halves = order[:HALF_IMAGES], order[HALF_IMAGES : 2 * HALF_IMAGES]
            rows = [np.isin(f.owners_M, half) for half in halves]
            whole = [_embed(image_basis, images[name][half], half) for half in halves]
            parts = [_embed(object_basis, objects[name][row], f.owners_M[row]) for row in rows]
            distances.append((_distance(candidate, *whole) + _distance(candidate, *parts)) / 2)
        found[name] = (float(np.mean(distances)), float(np.max(distances)))
    return found
