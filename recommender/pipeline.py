"""The main job, in the order of the drawing in docs/architecture.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from recommender import __version__
from recommender.axes import Setting, Tried, advised, setting_note, tried_on
from recommender.candidates import (
    Candidate,
    choice_notes,
    choose_candidates,
    starts_of,
)
from recommender.checkpoints import REFERENCE_NAMES
from recommender.choice import (
    chosen_option,
    compared_by,
    cost_notes,
    costs_of,
    download_mb,
    front,
    left_out_notes,
    require_choice,
    size_options,
    usual_architecture,
    work_of,
)
from recommender.class_names import mapped
from recommender.command_line import fetch_first, train_command, yolo_command
from recommender.costs import NEWEST, Speed, Work, known_speed
from recommender.datasets import open_dataset
from recommender.devices.calibration import calibrated_speed
from recommender.devices.gpus import gpu_speed
from recommender.devices.table import device
from recommender.evidence import gather
from recommender.folding import fold, fold_notes, scored_anew
from recommender.forecast.budget import is_supported
from recommender.forecast.decision import decide
from recommender.forecast.history import known_history, known_spread
from recommender.forecast.influence import runs_used
from recommender.forecast.kernels import PriorScales
from recommender.forecast.ranking import Outlook, outlooks
from recommender.forecast.reasons import reasons
from recommender.forecast.rules import trained_on_target
from recommender.forecast.situation import Observation, Situation
from recommender.forecast.warnings import notes, only_scratch, warnings
from recommender.image_sizes import Option, choose_sizes, limits_in_words, sizes_for
from recommender.profile.known import known_profile
from recommender.profile.notices import dataset_notices
from recommender.progress import Progress, silent
from recommender.records import (
    SCRATCH,
    Budget,
    Cost,
    Dataset,
    Evidence,
    FoldedStart,
    Notice,
    Profile,
    Provenance,
    RankedStart,
    Recommendation,
    Run,
    Start,
    TrialResult,
)
from recommender.requests import RecommendRequest, at_usual_size
from recommender.store import RANKABLE, Store
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
    speed: Speed | None = None  # of the GPU asked for, else of the hardware of the newest runs
    options: Mapping[Start, tuple[Option, ...]] = field(default_factory=dict)  # each start at each image size
    tried: tuple[Run, ...] = ()  # earlier runs on this very data set, at whatever rate and freeze depth
    folded: tuple[FoldedStart, ...] = ()
    folded_situations: tuple[Situation, ...] = ()  # of `folded`, to forecast them anew after trials

    def work(self, situation: Situation, epochs: int | None = None) -> Work:
        """The work of training a start, for so many epochs or in full. Scratch is the usual architecture's."""
        return work_of(situation, self.situations, self.profile, epochs)

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
    target = open_dataset(
        request.dataset, task=request.task, seed=request.seed, allowed_roots=roots, progress=progress
    )
    request = at_usual_size(request, target.task)
    require_choice(request, target.task)
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
    sizes = sizes_for(request, profile)
    situations = _situations(request, profile, candidates, evidence, sizes[0])
    history = known_history(store, target=profile, starts=[c.checkpoint.name for c in candidates])
    speed = gpu_speed(request.gpu) if request.gpu else _speed(store, situations) or calibrated_speed()
    cost_of = costs_of(request, profile, situations, speed)
    spread = known_spread(target.task)
    chosen = choose_sizes(situations, sizes, history, spread, request=request, cost_of=cost_of)
    ranked, folded = fold(chosen.situations, history, spread, request=request, cost_of=cost_of)
    return Study(
        request=request,
        target=target,
        profile=profile,
        situations=ranked,
        history=history,
        spread=spread,
        notes=(
            *choice_notes(request, store, candidates),
            *left_out_notes(chosen.left_out, request),
        ),
        speed=speed,
        options=chosen.options,
        tried=_counted_runs(store, target.content_hash),
        folded=folded,
        folded_situations=tuple(one for one in chosen.situations if one not in ranked),
    )


def conclude(
    case: Study,
    *,
    trials: Sequence[Observation] = (),
    runs: Mapping[Start, Run] | None = None,
    tried: Sequence[Run] = (),
) -> Recommendation:
    """Forecast from the history and the trials on this target; `runs` are the trials to show beside their starts.

    `tried` are all runs of the trials, from which rate and freeze depth are chosen together with earlier ones.
    """
    history = (*case.history, *trials)
    ranked = outlooks(history, case.situations, seed=case.request.seed, spread=case.spread)
    budget = ranked[0].situation.budget
    hours = case.hours()
    scratch = usual_architecture(case.situations, case.target.task)
    every = {run.id: run for run in (*case.tried, *tried)}.values()
    all_rows = with_settings(
        ranked_starts(ranked, history, runs or {}, case.options),
        {start: tried_on(case.profile.dataset_hash, every, start) for start in {run.start for run in every}},
    )
    rows = first_rows(all_rows, case.request.top)
    setting = Setting(learning_rate=rows[0].learning_rate, freeze=rows[0].freeze)
    supported = is_supported([o.situation for o in history], ranked[0].situation)
    fetch = fetch_first(ranked[0].situation.checkpoint)
    folded = case.folded
    if trials and folded:
        folded = scored_anew(folded, case.folded_situations, case.situations, history, case.spread)
    hours_on = case.speed.hardware if case.request.gpu and case.speed else None
    return Recommendation(
        profile=case.profile,
        budget=budget,
        task=case.target.task,
        ranking=rows,
        warnings=_warnings(case, ranked, level_supported=supported, any_runs=bool(history)),
        notes=(
            *case.notes,
            *fold_notes(folded, case.situations),
            *notes(ranked),
            *setting_note(rows[0].start, tried_on(case.profile.dataset_hash, every, rows[0].start)),
            *cost_notes(
                rows,
                case.target,
                case.profile,
                hours_on=hours_on,
                ranked=all_rows,
                limits=limits_in_words(case.request),
                gpu=case.request.gpu,
                scratch=scratch,
                folded=folded,
            ),
        ),
        folded=folded,
        device=device(case.request.device).title if case.request.device else None,
        limits=limits_in_words(case.request),
        max_latency_ms=case.request.max_latency,
        max_hours=case.request.max_hours,
        max_flops_b=case.request.max_flops,
        level_supported=supported,
        method=_method(history),
        train_command=fetch
        + train_command(
            ranked[0].situation.start,
            budget,
            case.request.dataset,
            scratch=scratch,
            class_map=case.request.class_map,
            task=case.request.task,
            imgsz=task_definition(case.target.task).imgsz,
            setting=setting,
        ),
        command=fetch
        + yolo_command(
            ranked[0].situation,
            case.target,
            case.request.dataset,
            scratch=scratch,
            split_seed=case.request.seed,
            setting=setting,
        ),
        provenance=_provenance(case.request, case.profile, ranked, history),
        decision=decide(ranked, history, spread=case.spread, hours=hours),
        rests_on=runs_used(history, ranked[0].situation, case.spread),
    )


def ranked_starts(
    ranked: Sequence[Outlook],
    history: Sequence[Observation],
    runs: Mapping[Start, Run],
    options: Mapping[Start, tuple[Option, ...]],
) -> tuple[RankedStart, ...]:
    """The rows of all starts."""
    chosen = [chosen_option(o.situation, options.get(o.situation.start, ())) for o in ranked]
    costs = [option.cost if option else Cost() for option in chosen]
    axis = compared_by(costs)
    leading = front(
        [
            (o.score.mean, None if trained_on_target(o.situation.evidence) else getattr(cost, axis))
            for o, cost in zip(ranked, costs, strict=True)
        ]
    )
    return tuple(
        replace(
            _row(i + 1, outlook, history, runs.get(outlook.situation.start), cost),
            on_front=i in leading,
            sizes=size_options(outlook, options.get(outlook.situation.start, ())),
        )
        for i, (outlook, cost) in enumerate(zip(ranked, costs, strict=True))
    )


def first_rows(rows: Sequence[RankedStart], top: int | None) -> tuple[RankedStart, ...]:
    """The first `top` rows with their true ranks; scratch and the best of COCO always appear."""
    best_coco = next((row.rank for row in rows if row.start.checkpoint in REFERENCE_NAMES), None)
    return tuple(
        row
        for row in rows
        if top is None or row.rank <= top or row.rank == best_coco or row.start.checkpoint == SCRATCH
    )


def with_settings(
    rows: Sequence[RankedStart], tried: Mapping[Start, Sequence[Tried]]
) -> tuple[RankedStart, ...]:
    """The rows with the rate and the freeze depth that runs on this data set advise for each."""
    settings = ((row, advised(tried.get(row.start, ()))) for row in rows)
    return tuple(
        replace(row, learning_rate=setting.learning_rate, freeze=setting.freeze) for row, setting in settings
    )


def _counted_runs(store: Store, target_hash: str) -> tuple[Run, ...]:
    """The runs on a data set that the forecast may learn from."""
    ignored = store.runs.ignored()
    runs = store.runs.list(target_hash=target_hash, statuses=RANKABLE)
    return tuple(run for run in runs if run.id not in ignored)


def _warnings(
    case: Study, ranked: Sequence[Outlook], *, level_supported: bool, any_runs: bool
) -> tuple[Notice, ...]:
    request = case.request
    scratch_asked = request.modes == ("scratch",) or SCRATCH in request.checkpoints
    return (
        *only_scratch(
            ranked, permissive_only=request.licence == "permissive" and request.modes != ("scratch",)
        ),
        *dataset_notices(case.target, case.profile),
        *warnings(ranked, scratch_asked=scratch_asked, level_supported=level_supported, any_runs=any_runs),
    )


def _situations(
    request: RecommendRequest,
    profile: Profile,
    candidates: Sequence[Candidate],
    evidence: Mapping[str, Evidence],
    imgsz: int,
) -> tuple[Situation, ...]:
    return tuple(
        Situation(
            target=profile,
            num_train_images=profile.num_images.train,
            budget=Budget(epochs=request.epochs, imgsz=imgsz),
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
    cost: Cost,
) -> RankedStart:
    situation = outlook.situation
    checkpoint = situation.checkpoint
    return RankedStart(
        **vars(situation.start),
        **vars(cost),
        rank=rank,
        score=outlook.score,
        architecture=checkpoint.architecture if checkpoint else None,
        imgsz=situation.budget.imgsz,
        fetch_mb=None if checkpoint is None or checkpoint.available else download_mb(checkpoint),
        p_best=outlook.p_best,
        expected_loss=outlook.expected_loss,
        gain_over_scratch=outlook.gain_over_scratch,
        evidence=situation.evidence,
        reasons=reasons(outlook, history),
        available=checkpoint is None or checkpoint.available,
        trial=_trial_result(trial) if trial else None,
    )


def _trial_result(run: Run) -> TrialResult:
    return TrialResult(
        run=run.id,
        status=run.status,
        epochs=len(run.curve),
        score=run.best.score if run.best else None,
        seconds=run.seconds,
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
