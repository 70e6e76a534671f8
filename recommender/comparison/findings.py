"""Everything a report says, computed from the comparison's runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recommender.comparison.catching_up import CatchUp, catch_up
from recommender.comparison.comparison_input import ComparisonInput, Evaluation
from recommender.comparison.confusion import Confusion, confusions_of
from recommender.comparison.forecast_error import ForecastError, forecast_error_of
from recommender.comparison.noise import SeedNoise
from recommender.comparison.pictures import Difference, differing_scenes
from recommender.comparison.reasons import WorseStart, worse_starts
from recommender.comparison.rows import ComparisonRow, main_rows, noise_of, rows_of
from recommender.comparison.sizes import SizeFinding, size_finding
from recommender.comparison.summary import noise_sentence, sentences
from recommender.records import EpochMetrics, Notice, Start
from recommender.tasks import task_definition
from recommender.text import counted

USUAL_BATCH = 16  # images whose gradients one step gathers, also where the batch is smaller
NOISY_BATCH = 16  # below it the statistics of batch norm are noisy for random weights (Wu and He 2018)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The findings. `rows` holds every share of the data, `main` the largest, the best start first."""

    rows: tuple[ComparisonRow, ...]
    main: tuple[ComparisonRow, ...]
    noise: SeedNoise
    noise_sentence: str
    sentences: tuple[str, ...]
    catching_up: CatchUp | None
    sizes: SizeFinding | None
    losses: tuple[WorseStart, ...]
    forecast_error: ForecastError
    differences: tuple[Difference, ...]
    confusions: tuple[Confusion, ...]  # of a classification set, in the order of `main`
    notices: tuple[Notice, ...]


def findings_of(comparison: ComparisonInput, *, pictures: int = 6) -> Findings:
    """Compute all of it; nothing is drawn, nothing is trained."""
    rows = rows_of(comparison)
    main = main_rows(rows)
    noise = noise_of(comparison, rows)
    sizes = size_finding(rows, noise)
    losses = worse_starts(comparison, main, noise)
    metric = task_definition(comparison.task).metric.label
    catching_up = _catch_up(comparison, main)
    forecast_error = forecast_error_of(comparison, rows)
    return Findings(
        rows=rows,
        main=main,
        noise=noise,
        noise_sentence=noise_sentence(noise, main, metric),
        sentences=sentences(main, noise, catching_up, sizes, losses, forecast_error, metric),
        catching_up=catching_up,
        sizes=sizes,
        losses=losses,
        forecast_error=forecast_error,
        differences=_differences(comparison, main, pictures),
        confusions=confusions_of(comparison, main),
        notices=(*_once(comparison.notices), *_norm_notices(comparison)),
    )


def _once(notices: Sequence[Notice]) -> tuple[Notice, ...]:
    """Notices without repetitions: those of every share of the data once, for the largest; each leak for itself."""
    return tuple({(n.code, n.message if n.code == "leak" else ""): n for n in reversed(notices)}.values())[
        ::-1
    ]


def curves_of(comparison: ComparisonInput, row: ComparisonRow) -> tuple[tuple[EpochMetrics, ...], ...]:
    """The learning curves of a row, one a seed."""
    return tuple(one.run.curve for one in comparison.trained if one.run.id in row.runs)


def shown_run(comparison: ComparisonInput, row: ComparisonRow) -> str | None:
    """The run whose boxes stand for its row: the one in the middle of its seeds."""
    maps = {
        one.run.id: one.run.best.score
        for one in comparison.trained
        if one.run.id in row.runs and one.evaluation is not None and one.run.best is not None
    }
    return min(maps, key=lambda id: (abs(maps[id] - row.val_score.mean), id), default=None)


def _catch_up(comparison: ComparisonInput, main: tuple[ComparisonRow, ...]) -> CatchUp | None:
    scratch = next((row for row in main if row.start.mode == "scratch"), None)
    rivals = [row for row in main if row.start.mode != "scratch"]
    if scratch is None or not rivals:
        return None
    rival = max(rivals, key=lambda row: row.val_score.mean)
    return catch_up(
        curves_of(comparison, scratch), curves_of(comparison, rival), budget=comparison.plan.epochs
    )


def _differences(
    comparison: ComparisonInput, main: tuple[ComparisonRow, ...], pictures: int
) -> tuple[Difference, ...]:
    evaluations: dict[Start, list[Evaluation]] = {
        row.start: [
            one.evaluation
            for one in comparison.trained
            if one.run.id in row.runs and one.evaluation is not None
        ]
        for row in main
    }
    # A classifier's first guess counts, however sure it is.
    confidence = 0.0 if comparison.task == "classify" else comparison.plan.confidence
    return differing_scenes(comparison.held.scenes, evaluations, confidence=confidence, limit=pictures)


def _norm_notices(comparison: ComparisonInput) -> tuple[Notice, ...]:
    """One sentence on what was used, and a warning where batch norm saw too few images."""
    runs = [trained.run for trained in comparison.trained]
    if not runs:
        return ()
    batch = min(run.batch_used or run.recipe.batch for run in runs)
    images = min(run.num_train_images for run in runs)
    seen = min(batch, images)
    group = sum(run.recipe.normalisation == "group" for run in runs)
    scratch = [run for run in runs if run.start.mode == "scratch"]
    used = "group norm for scratch, batch norm for the rest" if group else "batch norm for every start"
    steps = max(1, -(-USUAL_BATCH // batch))
    gathered = f"; gradients gathered over {steps} batches before each step" if steps > 1 else ""
    notices = [
        Notice(
            code="normalisation",
            message=f"Normalisation: {used}, batches of {counted(batch, 'image')}{gathered}.",
        )
    ]
    if seen < NOISY_BATCH and scratch and not group:
        notices.append(
            Notice(
                code="small_batch",
                message=f"Batch norm saw {counted(seen, 'image')} at a time, too few for a fair run from scratch: "
                "gathering gradients does not mend its statistics. Try --normalisation group, or a larger --batch.",
            )
        )
    return tuple(notices)
