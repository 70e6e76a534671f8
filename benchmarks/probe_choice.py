"""The probe whose similarity agrees best with real transfer results.

    python -m benchmarks.probe_choice --data ../shared/data --weights ../shared/weights

For every candidate probe and embedding: over the targets of the ground truth (full mode), the weighted Kendall τ,
Spearman's ρ and Rel@1 between the similarity of target and source and the transferred mAP50-95, with a bootstrap
interval over targets; and whether sets known to be similar are each other's nearest. Writes
benchmarks/results/probe_choice.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import arguments_of, stamp
from benchmarks.probe_features import NETWORKS, SEED, SetFeatures, features_of
from benchmarks.probe_scores import (
    BOOTSTRAPS,
    CANDIDATES,
    COCO_SET,
    DISSIMILAR,
    HALF_IMAGES,
    HALF_REPEATS,
    RESULT,
    SHIPPED,
    SIMILAR,
    TRUTH,
    Candidate,
    Score,
    Truth,
    agreement,
    evaluate,
    half_distances,
    read_truth,
)

ENOUGH_TARGETS = 6


def main() -> None:
    """Compute or read the features, score every candidate, write the table."""
    parser = arguments_of(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/probe-choice"))
    parser.add_argument("--truth", type=Path, default=TRUTH)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    names = sorted(folder.name for folder in arguments.data.iterdir() if folder.is_dir())
    features = {
        network.name: {
            name: features_of(
                network, arguments.data / name, weights=arguments.weights, cache=arguments.cache
            )
            for name in names
        }
        for network in NETWORKS
    }
    truth = read_truth(arguments.truth)
    scores = {candidate: evaluate(candidate, features[candidate.network], truth) for candidate in CANDIDATES}
    text = report(
        scores,
        truth,
        features[SHIPPED.network],
        {n: float(np.mean([f.seconds_per_image for f in s.values()])) for n, s in features.items()},
    )
    arguments.out.write_text(text, encoding="utf-8")
    print(text)


def report(
    scores: dict[Candidate, Score], truth: Truth, shipped: dict[str, SetFeatures], seconds: dict[str, float]
) -> str:
    """The table as Markdown."""
    runs = sum(len(starts) for starts in truth.values())
    lines = [
        "# Which probe agrees best with transfer",
        "",
        f"{stamp()} `python -m benchmarks.probe_choice`: {len(truth)} targets ({', '.join(truth)}), {runs} pairs of",
        "target and source, full mode, YOLO11n. Similarity is one minus the distance of two sets' embeddings. Mean",
        "over targets, 90 % bootstrap interval over targets. Similar: rank of the relative among the other 13 sets for",
        f"{', '.join(f'{a} → {b} and back' for a, b in SIMILAR)}. Apart: mean distance of the nearest set for",
        f"dissimilar sets ({', '.join(DISSIMILAR)}), divided by that for sets with a relative or COCO close by.",
        *_caveat(truth),
        "",
        "| network | layers | variant | τw | Spearman | Rel@1 | similar | apart |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for candidate, score in scores.items():
        cells = map(_with_interval, score.marks_T3.T)
        name = f"**shipped:** {candidate}" if candidate == SHIPPED else str(candidate)
        lines.append(
            f"| {name} | {' | '.join(cells)} | {' '.join(map(str, score.similar))} | {score.apart:.2f} |"
        )
    if len(truth) > 1:  # with one, the static order knows nothing
        lines += ["", "Two rankers that do not look at the target:", ""]
        lines += ["| ranker | τw | Spearman | Rel@1 |", "|---|---|---|---|"]
        for name, values in baselines(truth).items():
            lines.append(f"| {name} | {' | '.join(map(_with_interval, values.T))} |")
    lines += ["", "Nearest set by the shipped probe (distance of the whole):", ""]
    lines += [f"- {name}: {other} {d:.2f}" for name, (other, d) in scores[SHIPPED].nearest.items()]
    left_in = half_distances(replace(SHIPPED, noise_off=False), shipped)
    lines += [
        "",
        f"Two disjoint samples of {HALF_IMAGES} images of one set, {HALF_REPEATS} times: mean and largest distance",
        "with the sampling noise taken off, as shipped, and left in:",
        "",
    ]
    lines += [
        f"- {name}: {mean:.3f}, {largest:.3f}; left in {left_in[name][0]:.3f}, {left_in[name][1]:.3f}"
        for name, (mean, largest) in half_distances(SHIPPED, shipped).items()
    ]
    lines += [
        "",
        "Seconds an image, decoding and pooling of all layers included (machine shared, so only roughly):",
        "",
    ]
    lines += [f"- {name}: {value:.4f}" for name, value in seconds.items()]
    return "\n".join(lines) + "\n"


def baselines(truth: Truth) -> dict[str, NDArray[np.float64]]:
    """Static: mean z-score of a source on the other targets. COCO first: COCO, then static. T targets × `agreement`."""
    rows: dict[str, list[tuple[float, float, float]]] = {"static": [], "always COCO": []}
    for target, starts in truth.items():
        sources = sorted(starts)
        results = np.array([starts[source] for source in sources])
        static = np.array([_static(truth, target, source) for source in sources])
        coco = np.where(np.array(sources) == COCO_SET, 10.0, static)
        for name, predicted in (("static", static), ("always COCO", coco)):
            rows[name].append(agreement(results, predicted))
    return {name: np.array(values) for name, values in rows.items()}


def _static(truth: Truth, left_out: str, source: str) -> float:
    scores = []
    for target, starts in truth.items():
        if target != left_out and source in starts:
            values = np.array(list(starts.values()))
            scores.append((starts[source] - values.mean()) / (values.std() + 1e-9))
    return float(np.mean(scores)) if scores else 0.0


def _caveat(truth: Truth) -> list[str]:
    if len(truth) >= ENOUGH_TARGETS:
        return []
    return [
        "",
        f"With {len(truth)} of the {ENOUGH_TARGETS} targets that an interval needs, the columns of agreement cannot",
        "tell neighbouring rows apart; until more are recorded, the similar and dissimilar sets decide among the rest.",
    ]


def _with_interval(values: NDArray[np.float64]) -> str:
    rng = np.random.default_rng(SEED)
    means = values[rng.integers(0, len(values), (BOOTSTRAPS, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.05, 0.95))
    return f"{values.mean():.3f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
