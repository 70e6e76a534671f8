"""A comparison as CSV: the table, and every training."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from recommender.comparison.comparison_input import ComparisonInput, FinishedTraining
from recommender.comparison.findings import Findings
from recommender.comparison.noise import SeedSpread


def summary_csv(findings: Findings) -> str:
    """The table, one line for each start and share of the data; what spreads over seeds has two columns."""
    details = detail_names(findings)
    spreads = ["score", *details, "tta", "val_score", "epochs_to_best", "seconds_to_best", "seconds"]
    spreads += ["estimated_seconds"]
    header = ["start", "checkpoint", "mode", "fraction", "train_images", "seeds", "learning_rate"]
    header += ["starting_score", "starting_measured_on"]
    header += [name for spread in spreads for name in (spread, f"{spread}_deviation")]
    lines = []
    for row in findings.rows:
        line: list[object] = [row.start, row.start.checkpoint, row.start.mode, row.fraction, row.train_images]
        line += [row.score.seeds, row.learning_rate, row.starting.score, row.starting.measured_on]
        for name in spreads:
            spread: SeedSpread | None = row.details.get(name) if name in details else getattr(row, name)
            line += [None, None] if spread is None else [_round(spread.mean), _round(spread.deviation)]
        lines.append(line)
    return _csv(header, lines)


def runs_csv(comparison: ComparisonInput) -> str:
    """Every training, one line each, with its best epoch and its score on the split that scores."""
    header = ["run", "start", "fraction", "seed", "learning_rate", "normalisation", "batch", "train_images"]
    details = sorted({name for trained in comparison.trained for name in _details(trained)})
    header += ["epochs", "best_epoch", "val_score", *(f"val_{name}" for name in details)]
    header += [f"{comparison.held.split}_scored_{name}" for name in ("score", *details)]
    header += ["starting_score", "seconds", "estimated_seconds", "cpu_seconds"]
    lines = []
    for trained in comparison.trained:
        run, best, seen = trained.run, trained.run.best, trained.evaluation
        if best is None:
            continue
        line: list[object] = [run.id, run.start, run.recipe.fraction, run.recipe.seed, run.learning_rate_used]
        line += [run.recipe.normalisation, run.batch_used, run.num_train_images, len(run.curve), best.epoch]
        line += [_round(v) for v in (best.score, *(best.details.get(name) for name in details))]
        held = None if seen is None else seen.score
        line += [_round(None if held is None else held.score)]
        line += [_round(None if held is None else held.details.get(name)) for name in details]
        line += [_round(v) for v in (run.starting_score, run.seconds, run.expected_seconds, run.cpu_seconds)]
        lines.append(line)
    return _csv(header, lines)


def detail_names(findings: Findings) -> tuple[str, ...]:
    """The metrics beside the score that any row has, in the rows' order."""
    return tuple(dict.fromkeys(name for row in findings.rows for name in row.details))


def _details(trained: FinishedTraining) -> dict[str, float]:
    return trained.run.best.details if trained.run.best else {}


def _csv(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in line] for line in lines)
    return text.getvalue()


def _cell(value: object) -> object:
    """Text that a spreadsheet would run as a formula is quoted."""
    text = "" if value is None else value if isinstance(value, int | float) else str(value)
    return f"'{text}" if isinstance(text, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
