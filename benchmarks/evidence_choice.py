"""The information in the evidence's scores, and how firm they are.

    python -m benchmarks.evidence_choice --data ../shared/data --weights ../shared/weights

For several sizes of the sample, with background boxes and without: the rank correlation of each score's order of
the checkpoints between two random draws of train images, which overlap (how firm), and with the mAP50-95 those
checkpoints really reached on the target, by mode (how much it says; bootstrap interval over targets). Reads
benchmarks/truth/runs.jsonl, writes benchmarks/results/evidence_choice.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks.machine import stamp
from benchmarks.public_weights import sha256_of, to_safetensors
from benchmarks.truth.ledger import read_runs
from recommender.checkpoints import zoo
from recommender.datasets import open_dataset
from recommender.evidence import ESTIMATORS
from recommender.evidence.features import box_features, load_backbone
from recommender.evidence.samples import BACKGROUND, TargetSample, sample_target
from recommender.evidence.scores import scores_of
from recommender.families.ultralytics.backbone import Backbone
from recommender.records import Checkpoint, Dataset, Run

RESULT = Path("benchmarks/results/evidence_choice.md")
TRUTH = Path("benchmarks/truth/runs.jsonl")
SEEDS = (0, 1)
MIN_STARTS = 5
BOOTSTRAPS = 2000
Scores = dict[str, dict[str, float | None]]  # checkpoint → score's name → value


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to draw the sample."""

    side: int  # pixels
    images: int
    background: bool

    def __str__(self) -> str:
        return f"{self.images} images, {self.side} px, {'with' if self.background else 'no'} background"


VARIANTS = (
    Variant(side=256, images=64, background=True),
    Variant(side=256, images=64, background=False),
    Variant(side=320, images=64, background=True),
    Variant(side=256, images=32, background=True),
)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names of data sets; all without")
    arguments = parser.parse_args()
    runs = [run for run in read_runs(TRUTH) if _comparable(run)] if TRUTH.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        shelf = _shelf(arguments.weights, Path(folder))
        backbones = {name: load_backbone(checkpoint) for name, checkpoint in shelf.items()}
    names = arguments.only or sorted(folder.name for folder in arguments.data.iterdir() if folder.is_dir())
    datasets = {name: open_dataset(arguments.data / name) for name in names}
    lines = [f"# Evidence: which sample, and what it is worth\n\n{stamp()}\n", *_head(runs, backbones)]
    for variant in VARIANTS:
        lines += _measured(variant, datasets, backbones, runs)
        print("\n".join(lines[-len(ESTIMATORS) - 3 :]))
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _comparable(run: Run) -> bool:
    """The main grid: all images, one budget, first seed."""
    return (
        run.status == "succeeded"
        and run.recipe.fraction == 1.0
        and run.recipe.seed == 0
        and run.recipe.epochs <= 20
    )


def _shelf(weights: Path, folder: Path) -> dict[str, Checkpoint]:
    """The zoo, and the shared domain checkpoints beside it, by the names the truth has for them."""
    found = {checkpoint.name: checkpoint for checkpoint in zoo()}
    for file in sorted((weights / "domain").glob("*.pt")):
        if file.stem not in found:
            target = folder / f"{file.stem}.safetensors"
            names = to_safetensors(file, target)
            found[file.stem] = Checkpoint(
                name=file.stem,
                origin="registry",
                architecture="yolo11n",
                family="yolo11",
                class_names=names,
                sha256=sha256_of(target),
                path=target,
            )
    return found


def _head(runs: Sequence[Run], backbones: Mapping[str, Backbone]) -> list[str]:
    targets = {run.target_name for run in runs}
    return [
        f"{len(backbones)} checkpoints; truth: {len(runs)} runs on {len(targets)} targets. *firm*: Spearman's ρ of the "
        "order of checkpoints between two draws of images, median over the sets (lowest). *full*, *freeze*: mean ρ "
        "with the mAP50-95 reached, with its 80 % bootstrap interval over targets; the target's own checkpoint is "
        "left out.\n"
    ]


def _measured(
    variant: Variant,
    datasets: Mapping[str, Dataset],
    backbones: Mapping[str, Backbone],
    runs: Sequence[Run],
) -> list[str]:
    started = time.process_time()
    by_seed: dict[int, dict[str, Scores]] = {seed: {} for seed in SEEDS}
    for name, dataset in datasets.items():
        for seed in SEEDS:
            sample = sample_target(dataset, num_images=variant.images, size=variant.side, seed=seed)
            by_seed[seed][name] = _scores(sample, backbones, background=variant.background)
    cost_s = (time.process_time() - started) / (len(datasets) * len(SEEDS) * len(backbones))
    lines = [
        f"\n## {variant}: {cost_s:.2f} CPU seconds a checkpoint\n",
        "| score | firm | full | freeze |",
        "|---|---|---|---|",
    ]
    for row in ESTIMATORS:
        firm = [_rank_correlation(*(_column(by_seed[s][name], row.name) for s in SEEDS)) for name in datasets]
        known = [value for value in firm if value is not None]
        cells = [f"{np.median(known):.2f} ({min(known):.2f})" if known else "–"]
        cells += [_agreement(by_seed[SEEDS[0]], row.name, runs, mode) for mode in ("full", "freeze")]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return lines


def _scores(sample: TargetSample, backbones: Mapping[str, Backbone], *, background: bool) -> Scores:
    used = sample if background else _objects_only(sample)
    return {name: scores_of(box_features(backbone, used), used) for name, backbone in backbones.items()}


def _objects_only(sample: TargetSample) -> TargetSample:
    keep = sample.labels_M != BACKGROUND
    per_image = np.split(keep, np.cumsum([len(boxes) for boxes in sample.boxes])[:-1])
    return replace(
        sample,
        boxes=tuple(boxes[mine] for boxes, mine in zip(sample.boxes, per_image, strict=True)),
        labels_M=sample.labels_M[keep],
        images_M=sample.images_M[keep],
        shapes_M4=sample.shapes_M4[keep],
    )


def _column(scores: Scores, name: str) -> dict[str, float]:
    return {key: value for key, row in scores.items() if (value := row[name]) is not None}


def _rank_correlation(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    keys = sorted(one.keys() & other.keys())
    if len(keys) < MIN_STARTS or min(len({side[k] for k in keys}) for side in (one, other)) < 2:
        return None
    return float(spearmanr([one[k] for k in keys], [other[k] for k in keys]).statistic)


def _agreement(measured: Mapping[str, Scores], name: str, runs: Iterable[Run], mode: str) -> str:
    truth: dict[str, dict[str, float]] = defaultdict(dict)
    for run in runs:
        if (
            run.start.mode == mode
            and run.best is not None
            and not run.start.checkpoint.startswith(run.target_name)
        ):
            truth[run.target_name][run.start.checkpoint] = run.best.score
    values = [
        value
        for target, reached in truth.items()
        if target in measured
        and (value := _rank_correlation(_column(measured[target], name), reached)) is not None
    ]
    if not values:
        return "–"
    rng = np.random.default_rng(0)
    means = rng.choice(values, (BOOTSTRAPS, len(values))).mean(axis=1)
    low, high = np.quantile(means, (0.1, 0.9))
    return f"{np.mean(values):.2f} [{low:.2f}, {high:.2f}], {len(values)} targets"


if __name__ == "__main__":
    main()
