"""The summary of a sweep: targets × starts, the best score of each, over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from recommender.comparison.noise import SeedSpread, spread_of
from recommender.recipe_axes import DEFAULT, RecipeSetting, setting_of
from recommender.records import Notice, Start
from recommender.text import printable
from tune_jobs.sweep.documents import (
    StartResult,
    SweepDocument,
    SweepTarget,
    SweepTotal,
    TrialCounts,
)
from tune_jobs.sweep.policy import TrialView
from tune_jobs.sweep.run import SweepResult

FRAME = 3  # characters of a column's padding and border


@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """One target at one fraction of its train images."""

    target_hash: str
    target_name: str
    fraction: float


@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """One start on one row, over its seeds."""

    row: MatrixRow
    start: Start
    setting: RecipeSetting
    score: SeedSpread | None  # best scores of the finished seeds; None without any
    num_asked: int
    errors: tuple[str, ...]
    run_ids: tuple[str, ...]


def cells_of(trials: Sequence[TrialView]) -> tuple[MatrixCell, ...]:
    """One cell for each row, start and setting, in the order they were planned."""
    groups: dict[tuple[MatrixRow, Start, RecipeSetting], list[TrialView]] = {}
    for trial in trials:
        row = MatrixRow(
            target_hash=trial.target_hash, target_name=trial.target_name, fraction=trial.recipe.fraction
        )
        groups.setdefault((row, trial.start, setting_of(trial.recipe)), []).append(trial)
    return tuple(_cell(*key, members) for key, members in groups.items())


def matrix_tables(result: SweepResult, *, width: int) -> list[Table]:
    """Starts down, targets across, the best of each target bold: as many tables as show every number in `width`."""
    cells = cells_of(result.trials)
    rows = list(dict.fromkeys(cell.row for cell in cells))
    at = {(cell.row, cell.start, cell.setting): cell for cell in cells}
    lines = dict.fromkeys((cell.start, cell.setting) for cell in cells)
    ordered = sorted(lines, key=lambda line: (-_mean_rank(line, rows, at), str(line[0])))
    best = {
        row: max((cell.score.mean for cell in cells if cell.row == row and cell.score), default=None)
        for row in rows
    }
    spread = (
        ", ± over seeds" if any(cell.score and cell.score.deviation is not None for cell in cells) else ""
    )
    names = [
        Text(printable(start, limit=48) + ("" if setting == DEFAULT else f", {setting.words(start.mode)}"))
        for start, setting in ordered
    ]
    widest_name = max((name.cell_len for name in names), default=0)
    parts: list[list[list[Text]]] = []  # columns of each table
    left = 0
    for row in rows:
        part = "" if row.fraction == 1.0 else f" {row.fraction:.0%}"
        head = Text(printable(row.target_name, limit=24) + part)
        column = [head, *(_shown(at.get((row, *line)), best[row]) for line in ordered)]
        wide = FRAME + max(text.cell_len for text in column)
        if not parts or wide > left:
            parts.append([])
            left = width - 1 - FRAME - min(widest_name, width // 2)
        parts[-1].append(column)
        left -= wide
    return [_table(f"best score{spread}", names, columns) for columns in parts]


def _table(title: str, names: Sequence[Text], columns: Sequence[Sequence[Text]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(
        "start", overflow="fold"
    )  # in lines where there is no room: no number gives way to a name
    for head, *_ in columns:
        table.add_column(head, justify="right", no_wrap=True)
    for number, name in enumerate(names, start=1):
        table.add_row(name, *(column[number] for column in columns))
    return table


def sweep_document(result: SweepResult, notices: Sequence[Notice] = ()) -> SweepDocument:
    """The summary as a document, with what is to be said about the sweep."""
    view = result.view
    return SweepDocument(
        results=tuple(_start_result(cell) for cell in cells_of(result.trials)),
        trials=TrialCounts(
            asked=len(view.trials),
            known_before=sum(trial.reused for trial in view.trials),
            finished=len(view.of_state("finished")),
            failed=len(view.of_state("failed")),
            cut_off=len(view.of_state("cut off")),
            waiting=len(view.of_state("waiting")),
        ),
        cost=SweepTotal(
            wall_s=round(view.elapsed_s, 1),
            gpu_s=round(view.device_seconds, 1) if view.device == "gpu" else None,
            cpu_s=round(view.device_seconds, 1) if view.device == "cpu" else None,
            limit_s=view.limit_s,
        ),
        ended_early=result.reason,
        warnings=tuple(notices),
    )


def _start_result(cell: MatrixCell) -> StartResult:
    return StartResult(
        dataset=SweepTarget(name=cell.row.target_name, hash=cell.row.target_hash),
        fraction=cell.row.fraction,
        checkpoint=cell.start.checkpoint,
        mode=cell.start.mode,
        learning_rate=cell.setting.learning_rate,
        freeze=cell.setting.freeze,
        score=cell.score,
        asked=cell.num_asked,
        errors=cell.errors,
        runs=cell.run_ids,
    )


def _cell(row: MatrixRow, start: Start, setting: RecipeSetting, members: Sequence[TrialView]) -> MatrixCell:
    ended = [trial.run for trial in members if trial.state == "finished" and trial.run is not None]
    return MatrixCell(
        row=row,
        start=start,
        setting=setting,
        score=spread_of(run.best.score for run in ended if run.best is not None),
        num_asked=len(members),
        errors=tuple(trial.run.error for trial in members if trial.run is not None and trial.run.error),
        run_ids=tuple(run.id for run in ended),
    )


def _mean_rank(
    line: tuple[Start, RecipeSetting],
    rows: Sequence[MatrixRow],
    at: dict[tuple[MatrixRow, Start, RecipeSetting], MatrixCell],
) -> float:
    """The mean over targets; a start that has none goes last."""
    means = [cell.score.mean for row in rows if (cell := at.get((row, *line))) and cell.score]
    return statistics.fmean(means) if means else -1.0


def _shown(cell: MatrixCell | None, best: float | None) -> Text:
    if cell is None:
        return Text("–", style="dim")  # left out: trained on that very data set
    if cell.score is None:
        return Text("failed" if cell.errors else "not run", style="dim")
    mean, deviation, seeds = cell.score.mean, cell.score.deviation, cell.score.seeds
    text = f"{mean:.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")
    text += "" if seeds == cell.num_asked else f" ({seeds} of {cell.num_asked})"
    return Text(text, style="bold" if mean == best else "")
