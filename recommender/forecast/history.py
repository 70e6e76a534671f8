"""The history of runs the forecast learns from: the built-in one, and the user's own from the store."""

from __future__ import annotations

import functools
import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from recommender.checkpoints import all_checkpoints
from recommender.errors import StorageError
from recommender.evidence import EVIDENCE_VERSION
from recommender.forecast.curves import speaking_for
from recommender.forecast.kernels import Spread
from recommender.forecast.situation import Observation, Situation
from recommender.profile.embedding import ENCODER
from recommender.profile.known import builtin_profiles
from recommender.records import Budget, Checkpoint, Evidence, Profile, Run
from recommender.store import Store
from recommender.store.records_json import decode

BUILTIN = Path(__file__).parent / "builtin" / "history.json.gz"


@dataclass(frozen=True, kw_only=True, eq=False)
class BuiltinHistory:
    """The shipped runs, with the checkpoints and the evidence they had."""

    runs: tuple[Run, ...]
    checkpoints: dict[str, Checkpoint]  # by weights sha256
    evidence: dict[tuple[str, str], Evidence]  # by target hash and weights sha256
    evidence_version: str  # of the code that gathered it
    spread: Spread  # learnt from these runs


@functools.cache
def builtin_history() -> BuiltinHistory:
    """Read the shipped history (`benchmarks/truth` makes it). Raises StorageError where it is missing or damaged."""
    try:
        content = json.loads(gzip.decompress(BUILTIN.read_bytes()))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise StorageError(
            f"The built-in history {BUILTIN} cannot be read: {error}.", remedy="Install the package again."
        ) from error
    checkpoints = [decode(Checkpoint, json.dumps(item)) for item in content["checkpoints"]]
    return BuiltinHistory(
        runs=tuple(decode(Run, json.dumps(item)) for item in content["runs"]),
        checkpoints={c.sha256: c for c in checkpoints if c.sha256},
        evidence={
            (item["target"], item["weights"]): decode(Evidence, json.dumps(item["evidence"]))
            for item in content["evidence"]
        },
        evidence_version=content["evidence_version"],
        spread=decode(Spread, json.dumps(content["spread"])),
    )


def known_spread() -> Spread:
    """How large each part of the prior is, as the built-in history taught it."""
    return builtin_history().spread


def known_history(store: Store) -> tuple[Observation, ...]:
    """Every run the forecast may learn from: the built-in ones and the user's, but those it is told to ignore."""
    builtin = builtin_history()
    own_runs = store.runs.list()
    profiles = {**builtin_profiles(), **{p.dataset_hash: p for p in store.profiles.list(ENCODER)}}
    checkpoints = {**builtin.checkpoints, **{c.sha256: c for c in all_checkpoints(store) if c.sha256}}
    evidence = dict(builtin.evidence)
    for run in own_runs:
        key = (run.target_hash, run.weights_sha256 or "")
        found = store.evidence.get(*key, EVIDENCE_VERSION)
        if found is not None:
            evidence[key] = found
    ignored = store.runs.ignored()
    unique = {run.id: run for run in (*builtin.runs, *own_runs) if run.id not in ignored}
    return observations(unique.values(), profiles=profiles, checkpoints=checkpoints, evidence=evidence)


def observations(
    runs: Iterable[Run],
    *,
    profiles: Mapping[str, Profile],
    checkpoints: Mapping[str, Checkpoint],
    evidence: Mapping[tuple[str, str], Evidence],
) -> tuple[Observation, ...]:
    """Join runs with what was known of target, checkpoint and source.

    `profiles` by data set hash, `checkpoints` by weights sha256, `evidence` by (target hash, weights sha256). Runs
    that failed or whose target has no profile teach nothing and are left out; trials, which end before their
    schedule does, speak for the full run as far as they came.
    """
    finished: list[Observation] = []
    trials: list[Observation] = []
    for run in runs:
        target = profiles.get(run.target_hash)
        checkpoint = checkpoints.get(run.weights_sha256 or "")
        learnt = run.start.mode == "scratch" or checkpoint is not None
        # A trial that a policy stopped was paid for: it speaks as far as it came.
        counts = run.status == "succeeded" or (run.status == "stopped" and run.kind == "trial")
        if not counts or run.best is None or target is None or not learnt:
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
        whole = run.recipe.schedule_epochs is None and run.status == "succeeded"
        kind = finished if whole else trials
        kind.append(Observation(situation=situation, run=run))
    return (*finished, *(speaking_for(trial.situation, trial, finished) for trial in trials))
