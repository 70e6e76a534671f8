"""A backtest as a table and as a published document."""

from __future__ import annotations

from pydantic import ConfigDict
from rich import box
from rich.console import Console
from rich.table import Table

from recommender.evidence import ESTIMATORS
from recommender.forecast.backtest import BUDGETS, MARKS, USUAL, Backtest, bootstrap
from recommender.forecast.calibration import DEAD, TIED, Bin, Check, reliability
from recommender.records import Interval
from recommender.report.document import Document, rounded
from recommender.tasks import Task, task_definition
from recommender.text import counted

OPPONENTS = ("static", "similarity", "rules")  # and the task's usual start and own estimators
HEADINGS = {
    "rel_at_1": "Rel@1",
    "rel_at_3": "Rel@3",
    "regret_at_1": "regret@1",
    "top_1": "top-1",
    "tau_w": "τw",
    "interval_coverage": "in 80 % interval",
}

# Each mark's mean, and `intervals` by mark.
MethodMetrics = dict[str, float | dict[str, Interval | None] | None]


class TargetMetrics(Document):
    """Marks of the forecast on one target, with what its results can tell: dead ones and ties are marked."""

    name: str
    starts: int
    best: float
    dead: bool
    tied_with_best: int
    tau_w: float
    rel_at_1: float
    regret_at_1: float


class BudgetMetrics(Document):
    """Coverage, loss and log-loss of the forecast in one class of budgets, with bootstrap intervals over cases."""

    cases: int
    interval_coverage: Interval | None
    expected_loss: Interval | None
    realised_loss: Interval | None
    log_loss: Interval | None
    uniform_log_loss: Interval | None


class BacktestDocument(Document):
    """The document that `recommend backtest --json` prints; `forecast_minus_NAME` is there for each opponent."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Interval]]

    task: Task
    metric: str
    targets: int
    names: tuple[str, ...]
    methods: dict[str, MethodMetrics]
    full_mode: dict[str, dict[str, float | None]]
    per_target: tuple[TargetMetrics, ...]
    budgets: dict[str, BudgetMetrics]
    reliability: tuple[Bin, ...]


def backtest_document(result: Backtest) -> BacktestDocument:
    """A backtest as published, numbers rounded."""
    differences = {
        f"forecast_minus_{other}": {
            mark: rounded(result.difference("forecast", other, mark))
            for mark in ("tau_w", "rel_at_1", "regret_at_1")
        }
        for other in _opponents(result)
    }
    return BacktestDocument(
        task=result.task,
        metric=task_definition(result.task).metric.name,
        targets=len(result.targets),
        names=result.targets,
        methods={name: _method(result, name) for name in result.per_target},
        full_mode={
            name: {mark: _mean(rounded(result.mean(name, mark, full_mode=True))) for mark in MARKS[:-1]}
            for name in result.full_mode
        },
        per_target=_per_target(result),
        budgets={name: _budget_class(result, name) for name in BUDGETS},
        reliability=tuple(reliability(_usual(result))),
        **differences,  # type: ignore[arg-type]  # the extra fields' type
    )


def _method(result: Backtest, name: str) -> MethodMetrics:
    intervals = {mark: rounded(result.mean(name, mark)) for mark in MARKS}
    return {**{mark: _mean(mean) for mark, mean in intervals.items()}, "intervals": intervals}


def _opponents(result: Backtest) -> tuple[str, ...]:
    """The rankers that ours is compared with."""
    own = [row.name for row in ESTIMATORS if row.tasks == (result.task,)]
    return tuple(
        name
        for name in (task_definition(result.task).reference, *OPPONENTS, *own)
        if name in result.per_target
    )


def _per_target(result: Backtest) -> tuple[TargetMetrics, ...]:
    return tuple(
        TargetMetrics(
            name=check.target_name,
            starts=len(check.truth_N),
            best=round(float(check.truth_N.max()), 4),
            dead=check.dead,
            tied_with_best=check.num_tied,
            tau_w=round(ours.tau_w, 4),
            rel_at_1=round(ours.rel_at_1, 4),
            regret_at_1=round(ours.regret_at_1, 4),
        )
        for check, ours in zip(_usual(result), result.per_target["forecast"], strict=True)
    )


def _usual(result: Backtest) -> list[Check]:
    return [check for check in result.checks if check.budgets == USUAL]


def _budget_class(result: Backtest, name: str) -> BudgetMetrics:
    checks = [check for check in result.checks if check.budgets == name]

    def mean(values: list[float]) -> Interval | None:
        return rounded(bootstrap(values, seed=result.seed)) if values else None

    return BudgetMetrics(
        cases=len(checks),
        interval_coverage=mean([float(check.inside_N.mean()) for check in checks]),
        expected_loss=mean([check.expected_loss for check in checks]),
        realised_loss=mean([check.realised_loss for check in checks]),
        log_loss=mean([check.log_loss for check in checks]),
        uniform_log_loss=mean([check.uniform_log_loss for check in checks]),
    )


def print_backtest(result: Backtest, console: Console) -> None:
    """Draw the marks of all rankers, and by how much ours beats the two that matter."""
    targets = counted(len(result.targets), "target")
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,  # every number in one line of 140 columns
        pad_edge=False,
        collapse_padding=True,
        title=f"{task_definition(result.task).name_in_full}: {targets}, each hidden in turn",
        title_justify="left",
    )
    table.add_column("ranker")
    for mark in MARKS:
        table.add_column(HEADINGS[mark], justify="right")
    for name in result.per_target:
        means = [result.mean(name, mark) for mark in MARKS]
        table.add_row(name, *[_cell(mean) for mean in means], style="bold" if name == "forecast" else "")
    console.print(table)
    console.print("mean [95 % bootstrap interval over targets]", style="dim")
    for other in _opponents(result):
        for mark in ("tau_w", "rel_at_1"):
            found = result.difference("forecast", other, mark)
            said = "better" if found.low > 0 else "worse" if found.high < 0 else "not told apart"
            bounds = f"[{found.low:+.3f}, {found.high:+.3f}]"
            console.print(f"forecast − {other}: {HEADINGS[mark]} {found.mean:+.3f} {bounds} {said}")
    full = result.mean("forecast", "tau_w", full_mode=True)
    if full is not None:
        taus = {
            name: result.mean(name, "tau_w", full_mode=True)
            for name in ("forecast", "rules", "static", task_definition(result.task).reference)
        }
        told = ", ".join(f"{name} {tau.mean:.2f}" for name, tau in taus.items() if tau is not None)
        console.print(f"τw among fully trained checkpoints alone: {told}")
    _print_doubtful(result, console)
    _print_checks(result, console)


def _print_doubtful(result: Backtest, console: Console) -> None:
    """Targets whose results say little: nothing was learnt there, or many starts are as good as the best."""
    rows = _per_target(result)
    label = task_definition(result.task).metric.label
    dead = [row.name for row in rows if row.dead]
    alive = [row for row in rows if not row.dead]
    if dead and alive:
        without = bootstrap([row.rel_at_1 for row in alive], seed=result.seed)
        console.print(
            f"best under {DEAD} {label}, so the order is mostly noise: {', '.join(dead)}; "
            f"without them the forecast's Rel@1 is {_cell(without)}"
        )
    tied = [f"{row.name} {row.tied_with_best} of {row.starts}" for row in rows if row.tied_with_best > 1]
    if tied:
        console.print(f"starts within {TIED} {label} of the best: {', '.join(tied)}")


def _print_checks(result: Backtest, console: Console) -> None:
    """Print the calibration of intervals, losses and probabilities, by budget."""
    table = Table(box=box.SIMPLE_HEAD, title="the forecast's numbers, by budget", title_justify="left")
    for heading in (
        "budget",
        "cases",
        "in 80 % interval",
        "expected loss",
        "realised loss",
        "log-loss",
        "uniform",
    ):
        table.add_column(heading, justify="left" if heading == "budget" else "right")
    for name in BUDGETS:
        found = _budget_class(result, name)
        if found.cases:
            numbers = [found.interval_coverage, found.expected_loss, found.realised_loss]
            numbers += [found.log_loss, found.uniform_log_loss]
            table.add_row(name, str(found.cases), *map(_cell, numbers))
    console.print(table)
    for one in reliability(_usual(result)):
        console.print(
            f"best? {one.low:.0%} to {one.high:.0%}: claimed {one.claimed:.1%}, true {one.true:.1%} "
            f"({counted(one.count, 'start')})",
            style="dim",
        )


def _cell(mean: Interval | None) -> str:
    return "" if mean is None else f"{mean.mean:.3f} [{mean.low:.2f}, {mean.high:.2f}]"


def _mean(interval: Interval | None) -> float | None:
    return None if interval is None else interval.mean
