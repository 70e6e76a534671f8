"""Everything a report says, computed from the material of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recommender.comparison.catching_up import CatchUp, catch_up
from recommender.comparison.hindsight import Hindsight, hindsight_of
from recommender.comparison.material import Evaluation, Material
from recommender.comparison.noise import SeedNoise
from recommender.comparison.norms import norm_notices
from recommender.comparison.pictures import Difference, differing_scenes
from recommender.comparison.reasons import Loss, losses_of
from recommender.comparison.rows import Row, main_rows, noise_of, rows_of
from recommender.comparison.sizes import SizeVerdict, size_verdict
from recommender.comparison.verdict import noise_sentence, sentences
from recommender.records import EpochMetrics, Notice, Start


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What came out. `rows` holds every share of the data, `main` the largest, the best start first."""

    rows: tuple[Row, ...]
    main: tuple[Row, ...]
    noise: SeedNoise
    noise_sentence: str
    sentences: tuple[str, ...]
    catching_up: CatchUp | None
    sizes: SizeVerdict | None
    losses: tuple[Loss, ...]
    hindsight: Hindsight
    differences: tuple[Difference, ...]
    notices: tuple[Notice, ...]


def findings_of(material: Material, *, pictures: int = 6) -> Findings:
    """Compute all of it; nothing is drawn, nothing is trained."""
    rows = rows_of(material)
    main = main_rows(rows)
    noise = noise_of(material, rows)
    sizes = size_verdict(rows, noise)
    losses = losses_of(material, main, noise)
    catching_up = _catch_up(material, main)
    hindsight = hindsight_of(material, rows)
    return Findings(
        rows=rows,
        main=main,
        noise=noise,
        noise_sentence=noise_sentence(noise, main),
        sentences=sentences(main, noise, catching_up, sizes, losses, hindsight),
        catching_up=catching_up,
        sizes=sizes,
        losses=losses,
        hindsight=hindsight,
        differences=_differences(material, main, pictures),
        notices=(*_once(material.notices), *norm_notices(material)),
    )


def _once(notices: Sequence[Notice]) -> tuple[Notice, ...]:
    """What is said of every share of the data is said once, of the largest; each leak is its own."""
    return tuple({(n.code, n.message if n.code == "leak" else ""): n for n in reversed(notices)}.values())[
        ::-1
    ]


def curves_of(material: Material, row: Row) -> tuple[tuple[EpochMetrics, ...], ...]:
    """The learning curves of a row, one a seed."""
    return tuple(one.run.curve for one in material.trained if one.run.id in row.runs)


def shown_run(material: Material, row: Row) -> str | None:
    """The run whose boxes stand for its row: the one in the middle of its seeds."""
    maps = {
        one.run.id: one.run.best.score
        for one in material.trained
        if one.run.id in row.runs and one.evaluation is not None and one.run.best is not None
    }
    return min(maps, key=lambda id: (abs(maps[id] - row.val_score.mean), id), default=None)


def _catch_up(material: Material, main: tuple[Row, ...]) -> CatchUp | None:
    scratch = next((row for row in main if row.start.mode == "scratch"), None)
    rivals = [row for row in main if row.start.mode != "scratch"]
    if scratch is None or not rivals:
        return None
    rival = max(rivals, key=lambda row: row.val_score.mean)
    return catch_up(curves_of(material, scratch), curves_of(material, rival), budget=material.plan.epochs)


def _differences(material: Material, main: tuple[Row, ...], pictures: int) -> tuple[Difference, ...]:
    evaluations: dict[Start, list[Evaluation]] = {
        row.start: [
            one.evaluation
            for one in material.trained
            if one.run.id in row.runs and one.evaluation is not None
        ]
        for row in main
    }
    return differing_scenes(
        material.held.scenes, evaluations, confidence=material.plan.confidence, limit=pictures
    )
