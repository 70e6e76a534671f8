"""Learning rate and freeze depth as axes of trials: which values are tried, and what runs say of them.

The rates are a third of the default, the default and three times it. The usual range of a fine-tuning spans an order
of magnitude around its default, a step of three halves it on a log scale, and smaller steps drown in what another
seed changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean

from recommender.families.ultralytics.architectures import freeze_depths, learning_rate_factor
from recommender.records import Notice, Recipe, Run, Start
from recommender.requests import Axis
from recommender.starts import DEPTHS_OF_MODE, FreezeDepth, Mode
from recommender.text import counted, printable
from recommender.training_recipe import learning_rate

RATE_STEPS = (1 / 3, 3.0)  # beside the default
WORTH = 0.02  # of the task's metric: another seed changes a result by as much


@dataclass(frozen=True, kw_only=True)
class RecipeSetting:
    """A learning rate and a freeze depth; None is the default of the start."""

    learning_rate: float | None = None
    freeze: FreezeDepth | None = None

    def words(self, mode: Mode) -> str:
        """The setting in words, for instance "rate 0.003, frozen up to the stem"."""
        said = [] if self.learning_rate is None else [f"rate {self.learning_rate:g}"]
        depth = self.freeze or DEPTHS_OF_MODE[mode][0]
        if self.freeze is not None:
            said.append("nothing frozen" if depth == "none" else f"frozen up to the {depth}")
        return ", ".join(said) or "the default"

    def options(self) -> list[str]:
        """The setting as options of `recommend train`."""
        rate = [] if self.learning_rate is None else ["--learning-rate", f"{self.learning_rate:g}"]
        return rate + ([] if self.freeze is None else ["--freeze", self.freeze])


DEFAULT = RecipeSetting()


@dataclass(frozen=True, kw_only=True)
class SettingGain:
    """The gain of a setting for a start on one data set, against the default in the same recipe."""

    setting: RecipeSetting
    gain: float  # of the task's metric, the mean of `count` pairs
    count: int
    epochs: int  # the most that were trained


def setting_of(recipe: Recipe) -> RecipeSetting:
    """The setting of a recipe."""
    return RecipeSetting(learning_rate=recipe.learning_rate, freeze=recipe.freeze)


def recipes_along(recipe: Recipe, mode: Mode, architecture: str, axes: Sequence[Axis]) -> tuple[Recipe, ...]:
    """The recipe at every rate and depth of the axes, as they are first."""
    rates: list[float | None] = [recipe.learning_rate]
    depths: list[FreezeDepth | None] = [recipe.freeze]
    if "lr" in axes:
        centre = learning_rate(recipe, mode, factor=learning_rate_factor(architecture))
        rates += [float(f"{centre * step:.3g}") for step in RATE_STEPS if centre * step <= 1]
    if "freeze" in axes and recipe.freeze is None:
        depths += freeze_depths(architecture, mode)[1:]
    return tuple(replace(recipe, learning_rate=rate, freeze=depth) for depth in depths for rate in rates)


def neighbours(recipe: Recipe, mode: Mode, architecture: str, axes: Sequence[Axis]) -> tuple[Recipe, ...]:
    """The recipe with one axis changed at a time, without the recipe itself."""
    own = recipes_along(recipe, mode, architecture, ())[0]
    every = [one for axis in axes for one in recipes_along(recipe, mode, architecture, (axis,))]
    return tuple(one for one in dict.fromkeys(every) if one != own)


def best_settings(runs: Iterable[Run]) -> tuple[Run, ...]:
    """The best of the runs that differ in rate and depth alone: what a start gives when they are chosen for it."""
    best: dict[str, Run] = {}
    for run in runs:
        key = _apart_from_setting(run)
        other = best.get(key)
        if other is None or _score(run) > _score(other):
            best[key] = run
    return tuple(best.values())


def tried_on(target: str, runs: Iterable[Run], start: Start) -> tuple[SettingGain, ...]:
    """The gains of other settings for a start on a data set (its hash), the best first.

    Settings that were never trained beside the default in the same recipe say nothing, nor does another optimiser: its
    rates are others. Where a run was stopped early, the two are compared as they were after as many epochs.
    """
    groups: dict[str, dict[RecipeSetting, Run]] = {}
    for run in runs:
        usual = run.recipe.optimizer.lower() == Recipe.optimizer.lower()
        if usual and run.target_hash == target and run.start == start and run.best is not None:
            groups.setdefault(_apart_from_setting(run), {})[setting_of(run.recipe)] = run
    gains: dict[RecipeSetting, list[float]] = {}
    epochs: dict[RecipeSetting, int] = {}
    for group in groups.values():
        for setting, run in group.items():
            if setting != DEFAULT and DEFAULT in group:
                gains.setdefault(setting, []).append(_gain(run, group[DEFAULT]))
                epochs[setting] = max(epochs.get(setting, 0), len(run.curve))
    found = [
        SettingGain(setting=one, gain=fmean(values), count=len(values), epochs=epochs[one])
        for one, values in gains.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.gain, one.setting.words(start.mode))))


def advised(tried: Sequence[SettingGain]) -> RecipeSetting:
    """The setting to train with: the default, unless another brought at least `WORTH` more."""
    return tried[0].setting if tried and tried[0].gain >= WORTH else DEFAULT


def setting_note(start: Start, tried: Sequence[SettingGain]) -> tuple[Notice, ...]:
    """Notice on runs of a start at other rates and depths, and on the setting the command takes from them."""
    if not tried:
        return ()
    said = "; ".join(
        f"{one.setting.words(start.mode)}: {one.gain:+.3f}"
        + (f" in {one.count} pairs" if one.count > 1 else "")
        for one in tried[:4]
    )
    chosen = advised(tried)
    longest = max(one.epochs for one in tried)
    if chosen == DEFAULT:
        end = f"None brought {WORTH} more, as much as another seed changes: the default stays."
    else:
        end = f"It is trained with {chosen.words(start.mode)}."
    return (
        Notice(
            code="rate_and_depth",
            message=f"{printable(start)} was trained on this data set with other settings too ({said}, against the "
            f"default, in {counted(longest, 'epoch')} or fewer). {end}",
        ),
    )


def _apart_from_setting(run: Run) -> str:
    recipe = asdict(run.recipe)
    del recipe["learning_rate"], recipe["freeze"]
    return repr((run.target_hash, run.start, run.weights_sha256, run.architecture, sorted(recipe.items())))


def _gain(run: Run, default: Run) -> float:
    """The gain of a run over another; one that was stopped is compared with what the other had reached by then."""
    shared = min((len(one.curve) for one in (run, default) if one.status == "stopped"), default=None)
    if not shared:
        return _score(run) - _score(default)
    first, second = (max(point.score for point in one.curve[:shared]) for one in (run, default))
    return first - second


def _score(run: Run) -> float:
    return float("-inf") if run.score is None else run.score
