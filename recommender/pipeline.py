"""The main job, in the order of the drawing in docs/architecture.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from recommender import __version__
from recommender.candidates import (
    Candidate,
    choice_notes,
    choose_candidates,
    starts_of,
)
from recommender.checkpoints import REFERENCE_NAMES
from recommender.checkpoints.scratch import scratch_architecture
from recommender.class_names import mapped
from recommender.command_line import train_command, yolo_command
from recommender.costs import NEWEST, USUAL_PARAMETERS, Speed, Work, known_speed
from recommender.datasets import open_dataset, require_trained
from recommender.evidence import gather
from recommender.forecast.budget import is_supported
from recommender.forecast.decision import decide
from recommender.forecast.history import known_history, known_spread
from recommender.forecast.influence import runs_used
from recommender.forecast.kernels import PriorScales
from recommender.forecast.ranking import Outlook, outlooks
from recommender.forecast.reasons import reasons
from recommender.forecast.situation import Observation, Situation
from recommender.forecast.warnings import notes, only_scratch, warnings
from recommender.profile.known import known_profile
from recommender.profile.notices import dataset_notices
from recommender.progress import Progress, silent
from recommender.records import (
    SCRATCH,
    Budget,
    Dataset,
    Evidence,
    Notice,
    Profile,
    Provenance,
    RankedStart,
    Recommendation,
    Run,
    Start,
)
from recommender.requests import RecommendRequest, at_usual_size
from recommender.store import Store
from recommender.tasks import task_definition
from recommender.text import counted


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A question and all that was gathered for it, so that after trials only the forecast is made again."""

    request: RecommendRequest
    target: Dataset
    profile: Profile
    situations: tuple[Situation, ...]  # every start, at the full budget
    history: tuple[Observation, ...]
    spread: PriorScales
    notes: tuple[Notice, ...] = ()  # of choosing the candidates
    speed: Speed | None = None  # of the hardware of the newest runs

    def work(self, situation: Situation, epochs: int | None = None) -> Work:
        """The work of training a start, for so many epochs or in full. Scratch has the size of the first checkpoint."""
        checkpoints = [situation.checkpoint, *(other.checkpoint for other in self.situations)]
        sizes = (c.num_parameters for c in checkpoints if c is not None and c.num_parameters)
        counts = self.profile.num_images
        return Work(
            num_parameters=next(sizes, USUAL_PARAMETERS),
            imgsz=situation.budget.imgsz,
            mode=situation.start.mode,
            num_train_images=counts.train,
            num_val_images=counts.val,
            epochs=epochs or situation.budget.epochs,
        )

    def hours(self) -> dict[Start, float]:
        """Of the full training of every start; empty where no speed is known."""
        if self.speed is None:
            return {}
        return {s.start: self.speed.seconds(self.work(s)) / 3600 for s in self.situations}


def answer(request: RecommendRequest, *, store: Store, progress: Progress = silent) -> Recommendation:
    """Read, profile, choose candidates, gather evidence, forecast: one recommendation."""
    return conclude(study(request, store=store, progress=progress))


def study(request: RecommendRequest, *, store: Store, progress: Progress = silent) -> Study:
    """Everything before the forecast: this is where the time goes."""
    roots = tuple(Path(root) for root in request.allow_roots)
    target = require_trained(
        open_dataset(
            request.dataset, task=request.task, seed=request.seed, allowed_roots=roots, progress=progress
        )
    )
    request = at_usual_size(request, target.task)
    profile = known_profile(target, store, progress=progress)
    candidates = choose_candidates(request, store, profile, progress)
    evidence = gather(
        target,
        replace(profile, class_names=mapped(profile.class_names, request.class_map)),
        candidates,
        store=store,
        max_feature_candidates=request.max_feature_candidates,
        progress=progress,
    )
    situations = _situations(request, profile, candidates, evidence)
    return Study(
        request=request,
        target=target,
        profile=profile,
        situations=situations,
        history=known_history(store, target=profile, starts=[c.checkpoint.name for c in candidates]),
        spread=known_spread(),
        notes=choice_notes(request, store, candidates),
        speed=_speed(store, situations),
    )


def conclude(
    case: Study, *, trials: Sequence[Observation] = (), runs: Mapping[Start, Run] | None = None
) -> Recommendation:
    """Forecast from the history and the trials on this target; `runs` are the trials to show beside their starts."""
    history = (*case.history, *trials)
    ranked = outlooks(history, case.situations, seed=case.request.seed, spread=case.spread)
    budget = Budget(epochs=case.request.epochs, imgsz=case.request.imgsz)
    hours = case.hours()
    scratch = scratch_architecture((c.checkpoint for c in case.situations if c.checkpoint), case.target.task)
    supported = is_supported([o.situation for o in history], ranked[0].situation)
    return Recommendation(
        profile=case.profile,
        budget=budget,
        task=case.target.task,
        ranking=shown_starts(ranked, history, case.request.top, runs or {}, hours),
        warnings=_warnings(case, ranked, level_supported=supported),
        notes=(*case.notes, *notes(ranked)),
        level_supported=supported,
        method=_method(history),
        train_command=train_command(
            ranked[0].situation.start,
            budget,
            case.request.dataset,
            scratch=scratch,
            class_map=case.request.class_map,
            task=case.request.task,
            imgsz=task_definition(case.target.task).imgsz,
        ),
        command=yolo_command(
            ranked[0].situation,
            case.target,
            case.request.dataset,
            scratch=scratch,
            split_seed=case.request.seed,
        ),
        provenance=_provenance(case.request, case.profile, ranked, history),
        decision=decide(ranked, history, spread=case.spread, hours=hours),
        rests_on=runs_used(history, ranked[0].situation, case.spread),
    )


def shown_starts(
    ranked: Sequence[Outlook],
    history: Sequence[Observation],
    top: int | None,
    runs: Mapping[Start, Run],
    hours: Mapping[Start, float],
) -> tuple[RankedStart, ...]:
    """The first `top` rows with their true ranks; scratch and the best of COCO always appear."""
    best_coco = next(
        (i for i, o in enumerate(ranked) if o.situation.start.checkpoint in REFERENCE_NAMES), None
    )
    shown = []
    for i, outlook in enumerate(ranked):
        always = i == best_coco or outlook.situation.start.checkpoint == SCRATCH
        if top is None or i < top or always:
            start = outlook.situation.start
            shown.append(_row(i + 1, outlook, history, runs.get(start), hours.get(start)))
    return tuple(shown)


def _warnings(case: Study, ranked: Sequence[Outlook], *, level_supported: bool) -> tuple[Notice, ...]:
    request = case.request
    scratch_asked = request.modes == ("scratch",) or SCRATCH in request.checkpoints
    return (
        *only_scratch(
            ranked, permissive_only=request.licence == "permissive" and request.modes != ("scratch",)
        ),
        *dataset_notices(case.target, case.profile),
        *warnings(ranked, scratch_asked=scratch_asked, level_supported=level_supported),
    )


def _situations(
    request: RecommendRequest,
    profile: Profile,
    candidates: Sequence[Candidate],
    evidence: Mapping[str, Evidence],
) -> tuple[Situation, ...]:
    return tuple(
        Situation(
            target=profile,
            num_train_images=profile.num_images.train,
            budget=Budget(epochs=request.epochs, imgsz=request.imgsz),
            start=start,
            checkpoint=candidate.checkpoint if candidate else None,
            source=candidate.source if candidate else None,
            evidence=evidence[start.checkpoint] if candidate else Evidence(),
        )
        for start, candidate in starts_of(candidates)
        if start.mode != "freeze" or evidence[start.checkpoint].backbone_transferred in (1.0, None)
    )


def _row(
    rank: int,
    outlook: Outlook,
    history: Sequence[Observation],
    trial: Run | None,
    hours: float | None,
) -> RankedStart:
    situation = outlook.situation
    return RankedStart(
        rank=rank,
        start=situation.start,
        score=outlook.score,
        architecture=situation.checkpoint.architecture if situation.checkpoint else None,
        hours=hours,
        p_best=outlook.p_best,
        expected_loss=outlook.expected_loss,
        gain_over_scratch=outlook.gain_over_scratch,
        evidence=situation.evidence,
        reasons=reasons(outlook, history),
        available=situation.checkpoint is None or situation.checkpoint.available,
        trial=trial,
    )


def _speed(store: Store, situations: Sequence[Situation]) -> Speed | None:
    known = {
        c.architecture: c.num_parameters
        for situation in situations
        if (c := situation.checkpoint) is not None and c.num_parameters
    }
    return known_speed(store.runs.page(limit=NEWEST).items, known)


def _method(history: Sequence[Observation]) -> str:
    if not history:
        return "rules"
    targets = len({observation.situation.target.dataset_hash for observation in history})
    return f"rules and {counted(len(history), 'run')} on {counted(targets, 'data set')}"


def _provenance(
    request: RecommendRequest, profile: Profile, ranked: Sequence[Outlook], history: Sequence[Observation]
) -> Provenance:
    checkpoints = {
        o.situation.checkpoint.name: o.situation.checkpoint for o in ranked if o.situation.checkpoint
    }
    return Provenance(
        version=__version__,
        seed=request.seed,
        history_runs=len(history),
        encoder=profile.encoder,
        weights_sha256={name: c.sha256 for name, c in sorted(checkpoints.items()) if c.sha256},
        libraries={name: version(name) for name in ("torch", "ultralytics", "faiss-cpu", "numpy")},
    )
