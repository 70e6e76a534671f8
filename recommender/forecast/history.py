"""The history of runs the forecast learns from, one a task: the built-in runs, and the user's own from the store."""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recommender.checkpoints import REFERENCE_NAMES, catalogue, zoo
from recommender.errors import StorageError
from recommender.evidence import EVIDENCE_VERSION, profile_evidence
from recommender.forecast.curves import at_full_budget
from recommender.forecast.kernels import PriorScales
from recommender.forecast.rules import saw_target
from recommender.forecast.situation import Observation, Situation
from recommender.profile.known import source_profiles
from recommender.profile.shipped import builtin_profiles
from recommender.recipe_axes import best_settings
from recommender.records import SCRATCH, Budget, Checkpoint, Evidence, Profile, Run
from recommender.store import RANKABLE, Store
from recommender.store.records_json import from_parsed
from recommender.store.runs import RunResult
from recommender.tasks import Task

if TYPE_CHECKING:
    from recommender.profile.index import SourceIndex

OWN_RUNS = 200  # of a user, beside all built-in ones: the cost is cubic in their sum
RUNS_PER_TARGET = 32
MAX_TARGETS = 64
FOLDER = Path(__file__).parent / "builtin"


@dataclass(frozen=True, kw_only=True, eq=False)
class BuiltinHistory:
    """The shipped runs of one task, with the checkpoints and the evidence they had."""

    runs: tuple[Run, ...]
    checkpoints: dict[str, Checkpoint]  # by weights sha256
    evidence: dict[tuple[str, str], Evidence]  # by target hash and weights sha256
    evidence_version: str  # of the code that gathered it
    scales: PriorScales  # estimated from these runs; the defaults where there are none


def builtin_file(task: Task) -> Path:
    """The shipped file of a task. Every task has one; that of a task nobody has run yet holds no run."""
    return FOLDER / f"history-{task}.json.gz"


@functools.cache
def builtin_history(task: Task) -> BuiltinHistory:
    """Read the shipped history (`benchmarks/truth` makes it). Raises StorageError where it is missing or damaged."""
    file = builtin_file(task)
    try:
        content = json.loads(gzip.decompress(file.read_bytes()))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise StorageError(
            f"The built-in history {file} cannot be read: {error}.", remedy="Install the package again."
        ) from error
    # Whoever registered them where the runs were made, here nobody did.
    checkpoints = [from_parsed(Checkpoint, item | {"origin": "zoo"}) for item in content["checkpoints"]]
    return BuiltinHistory(
        runs=tuple(from_parsed(Run, item) for item in content["runs"]),
        checkpoints={c.sha256: c for c in checkpoints if c.sha256},
        evidence={
            (item["target"], item["weights"]): from_parsed(Evidence, item["evidence"])
            for item in content["evidence"]
        },
        evidence_version=content["evidence_version"],
        scales=from_parsed(PriorScales, content["spread"]),
    )


def known_scales(task: Task) -> PriorScales:
    """The standard deviation of each part of the prior, estimated from the built-in history of a task."""
    return builtin_history(task).scales


def builtin_observations(task: Task) -> tuple[Observation, ...]:
    """The built-in history of a task as the backtest takes it, without what this user's store knows."""
    builtin = builtin_history(task)
    return observations(
        builtin.runs,
        profiles=builtin_profiles(),
        checkpoints=builtin.checkpoints,
        evidence=builtin.evidence,
    )


def known_history(
    store: Store,
    *,
    target: Profile | None = None,
    starts: Collection[str] = (),
    task: Task = "detect",
) -> tuple[Observation, ...]:
    """The runs the forecast learns from: the built-in ones and the user's, but those it is told to ignore.

    Runs of one task alone, the target's where one is given, else `task`: an accuracy says nothing of an mAP. Of runs
    that differ in learning rate and freeze depth alone the best one.

    All built-in runs, which alone may know other budgets. The user's too where they are at most OWN_RUNS, or where no
    `target` is given; of more, OWN_RUNS on the target itself and on the targets nearest to it, with at most
    RUNS_PER_TARGET of each other one: a run speaks through the similarity of its target, and only together with
    others of the same target, whose level is unknown. Among one target's runs those of `starts` (checkpoint names) come
    first, then one of each start. A subset of data
    (Rasmussen & Williams 2006, section 8.3.3; Chalupka, Williams & Murray 2013), chosen by neighbours as in
    Vecchia (1988).
    """
    task = task if target is None else target.task
    builtin = builtin_history(task)
    counts, ignored = store.runs.by_target(), store.runs.ignored()
    if target is None or sum(counts.values()) <= OWN_RUNS:
        own = store.runs.list(statuses=RANKABLE)
        runs = {run.id: run for run in (*builtin.runs, *own)}
    else:
        runs = _nearest_runs(
            store, target, counts, starts={*starts, SCRATCH, *REFERENCE_NAMES}, ignored=ignored
        )
    kept = best_settings(run for run in runs.values() if run.id not in ignored and run.task == task)
    return _joined(store, kept, builtin)


def nearest_targets(index: SourceIndex, target: Profile, targets: Collection[str]) -> tuple[str, ...]:
    """At most MAX_TARGETS of these data sets, the target itself first, then by similarity to it."""
    hits = index.search(target, MAX_TARGETS, among=set(targets), exclude=[target.dataset_hash])
    own = (target.dataset_hash,) if target.dataset_hash in targets else ()
    return (*own, *(hit.dataset_hash for hit in hits))[:MAX_TARGETS]


def _nearest_runs(
    store: Store,
    target: Profile,
    counts: Mapping[str, int],
    *,
    starts: Collection[str],
    ignored: Collection[str],
) -> dict[str, Run]:
    from recommender.profile.index_files import open_index  # here: it loads faiss

    runs = {run.id: run for run in builtin_history(target.task).runs}
    targets = nearest_targets(open_index(store), target, counts)
    by_target: dict[str, list[RunResult]] = {one: [] for one in targets}
    for result in store.runs.results(targets):
        if result.id not in ignored and result.id not in runs:
            by_target[result.target_hash].append(result)
    chosen: list[str] = []
    for one, results in by_target.items():
        most = OWN_RUNS // 2 if one == target.dataset_hash else RUNS_PER_TARGET
        chosen.extend(_telling(results, starts)[:most])
    return runs | {run.id: run for run in store.runs.of_ids(chosen[:OWN_RUNS])}


def _telling(results: Sequence[RunResult], starts: Collection[str]) -> list[str]:
    """Ids of one target's runs: those of `starts` first, and one of each start before a second of any."""
    seen: Counter[tuple[str, str]] = Counter()
    keyed = []
    for result in results:
        start = (result.checkpoint, result.mode)
        keyed.append((seen[start], result.checkpoint not in starts, result.id))
        seen[start] += 1
    return [id for *_, id in sorted(keyed)]


def _joined(store: Store, runs: Sequence[Run], builtin: BuiltinHistory) -> tuple[Observation, ...]:
    """The runs with what is known of them today, in one query a table."""
    weights = {run.weights_sha256 for run in runs if run.weights_sha256}
    targets = {run.target_hash for run in runs}
    here = (*zoo(), *catalogue(), *store.checkpoints.of_weights(weights))
    profiles = source_profiles(targets | {run.source_hash for run in runs if run.source_hash}, store)
    checkpoints = builtin.checkpoints | {one.sha256: one for one in here if one.sha256}
    evidence = builtin.evidence | store.evidence.of(targets, weights, EVIDENCE_VERSION)
    evidence |= _of_sweeps(store, runs, profiles, checkpoints, evidence)
    return observations(runs, profiles=profiles, checkpoints=checkpoints, evidence=evidence)


def _of_sweeps(
    store: Store,
    runs: Sequence[Run],
    profiles: Mapping[str, Profile],
    checkpoints: Mapping[str, Checkpoint],
    known: Mapping[tuple[str, str], Evidence],
) -> dict[tuple[str, str], Evidence]:
    """Evidence from the profiles on runs that no answer looked at before they were trained, found now and kept."""
    found: dict[str, dict[str, Evidence]] = {}
    for run in runs:
        target, weights = profiles.get(run.target_hash), run.weights_sha256 or ""
        if target is None or weights not in checkpoints or (run.target_hash, weights) in known:
            continue
        of_target = found.setdefault(run.target_hash, {})
        if weights not in of_target:
            source = profiles.get(run.source_hash or "")
            of_target[weights] = profile_evidence(target, checkpoints[weights], source)
    for target_hash, of_target in found.items():
        with contextlib.suppress(
            StorageError
        ):  # it may be for reading only: then it is found again next time
            store.evidence.put_all(target_hash, EVIDENCE_VERSION, of_target, replacing=False)
    return {(target, weights): one for target, each in found.items() for weights, one in each.items()}


def observations(
    runs: Iterable[Run],
    *,
    profiles: Mapping[str, Profile],
    checkpoints: Mapping[str, Checkpoint],
    evidence: Mapping[tuple[str, str], Evidence],
) -> tuple[Observation, ...]:
    """Join runs with what was known of target, checkpoint and source.

    `profiles` by data set hash, `checkpoints` by weights sha256, `evidence` by (target hash, weights sha256). Runs
    that failed, whose target has no profile, or whose start had seen the target's images teach nothing and are left
    out; trials, which end before their schedule does, speak for the full run as far as they came.
    """
    finished: list[Observation] = []
    trials: list[Observation] = []
    for run in runs:
        target = profiles.get(run.target_hash)
        checkpoint = checkpoints.get(run.weights_sha256 or "")
        is_known = run.start.mode == "scratch" or checkpoint is not None
        # A trial that a policy stopped was paid for: it speaks as far as it came.
        counts = run.status == "succeeded" or (run.status == "stopped" and run.kind == "trial")
        if not counts or run.best is None or target is None or not is_known:
            continue
        situation = Situation(
            target=target,
            num_train_images=run.num_train_images,
            budget=Budget(epochs=run.recipe.schedule_epochs or run.recipe.epochs, imgsz=run.recipe.imgsz),
            start=run.start,
            checkpoint=checkpoint,
            source=profiles.get(run.source_hash or ""),
            evidence=evidence.get((run.target_hash, run.weights_sha256 or ""), Evidence()),
        )
        if saw_target(situation):
            continue  # as in the backtest: taken for a result, it lifts what every other start is said to reach there
        whole = run.recipe.schedule_epochs is None and run.status == "succeeded"
        kind = finished if whole else trials
        kind.append(Observation(situation=situation, run=run))
    return (*finished, *(at_full_budget(trial.situation, trial, finished) for trial in trials))
