"""The main job, in the order of the drawing in docs/architecture.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from recommender import __version__
from recommender.candidates.choosing import choose_starts
from recommender.candidates.omitted_starts import omit_starts, omitted_notes, rescored
from recommender.class_names import mapped, overlap
from recommender.command_line import fetch_first, reading_options, train_command, yolo_command
from recommender.costs.devices import device
from recommender.costs.estimates import speed_here
from recommender.costs.gpus import gpu_speed
from recommender.costs.image_sizes import SizeForecast, choose_sizes, limits_in_words, sizes_for
from recommender.costs.notices import cost_notes, left_out_notes
from recommender.costs.start_costs import costs_of, usual_architecture, work_of
from recommender.costs.training_time import Speed, TrainingWork
from recommender.datasets import open_dataset
from recommender.evidence import gather
from recommender.forecast.budget import is_supported
from recommender.forecast.decision import decide
from recommender.forecast.history import known_history, known_scales
from recommender.forecast.influence import runs_used
from recommender.forecast.kernels import PriorScales
from recommender.forecast.ranking import StartForecast, rank_starts
from recommender.forecast.situation import Observation, Situation
from recommender.forecast.warnings import notes, only_scratch, warnings
from recommender.profile.known import known_profile
from recommender.profile.notices import dataset_notices
from recommender.progress import Progress, silent
from recommender.ranked_starts import first_rows, ranked_starts
from recommender.recipe_axes import RecipeSetting, SettingGain, setting_note, tried_on
from recommender.records import (
    SCRATCH,
    Dataset,
    Notice,
    OmittedStart,
    Profile,
    Provenance,
    RankedStart,
    Recommendation,
    Run,
    Start,
)
from recommender.requests import RecommendRequest, at_usual_size
from recommender.store import RANKABLE, Store
from recommender.tasks import task_definition
from recommender.text import counted, printable


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A question and all that was gathered for it, so that after trials only the forecast is made again."""

    request: RecommendRequest
    target: Dataset
    profile: Profile
    situations: tuple[Situation, ...]  # every start, at the full budget
    history: tuple[Observation, ...]
    scales: PriorScales
    notes: tuple[Notice, ...] = ()  # of choosing the candidates
    speed: Speed | None = None  # of the GPU asked for, else of the hardware of the newest runs
    options: Mapping[Start, tuple[SizeForecast, ...]] = field(
        default_factory=dict
    )  # each start at each image size
    tried: tuple[Run, ...] = ()  # earlier runs on this very data set, at whatever rate and freeze depth
    omitted: tuple[OmittedStart, ...] = ()
    omitted_situations: tuple[Situation, ...] = ()  # of `omitted`, to forecast them anew after trials

    def work(self, situation: Situation, epochs: int | None = None) -> TrainingWork:
        """The work of training a start, for so many epochs or in full. Scratch is the usual architecture's."""
        return work_of(situation, self.situations, self.profile, epochs)

    def settings(self, more: Sequence[Run]) -> dict[Start, tuple[SettingGain, ...]]:
        """The settings of all runs on this data set by their start, those of `more` runs included."""
        runs = {run.id: run for run in (*self.tried, *more)}.values()
        return {start: tried_on(self.profile.dataset_hash, runs, start) for start in {r.start for r in runs}}

    def hours(self) -> dict[Start, float]:
        """The hours of the full training of every start; empty where no speed is known."""
        if self.speed is None:
            return {}
        return {s.start: self.speed.seconds(self.work(s)) / 3600 for s in self.situations}


def answer(request: RecommendRequest, *, store: Store, progress: Progress = silent) -> Recommendation:
    """Read, profile, choose candidates, gather evidence, forecast: one recommendation."""
    return conclude(study(request, store=store, progress=progress))


def study(request: RecommendRequest, *, store: Store, progress: Progress = silent) -> Study:
    """Everything before the forecast: this is where the time goes."""
    if request.device:
        device(request.device)  # a name that nobody knows is refused before images are read for half a minute
    named_speed = gpu_speed(request.gpu) if request.gpu else None
    roots = tuple(Path(root) for root in request.allow_roots)
    target = open_dataset(request.dataset, task=request.task, allowed_roots=roots, progress=progress)
    request = at_usual_size(request, target.task)
    profile = known_profile(target, store, progress=progress)
    sizes = sizes_for(request, profile)
    bare, choice_notes = choose_starts(request, store, profile, progress, imgsz=sizes[0])
    situations = with_evidence(target, bare, request, store=store, progress=progress)
    history = known_history(
        store, target=profile, starts=sorted({s.start.checkpoint for s in bare if s.checkpoint})
    )
    speed = named_speed or speed_here(store, target.task)
    cost_of = costs_of(request, profile, situations, speed)
    scales = known_scales(target.task)
    chosen = choose_sizes(situations, sizes, history, scales, request=request, cost_of=cost_of)
    ranked, omitted = omit_starts(chosen.situations, history, scales, request=request, cost_of=cost_of)
    return Study(
        request=request,
        target=target,
        profile=profile,
        situations=ranked,
        history=history,
        scales=scales,
        notes=(
            *choice_notes,
            *_unknown_names(request, situations),
            *left_out_notes(chosen.left_out, request),
        ),
        speed=speed,
        options=chosen.options,
        tried=_counted_runs(store, target.content_hash),
        omitted=omitted,
        omitted_situations=tuple(one for one in chosen.situations if one not in ranked),
    )


def conclude(
    case: Study,
    *,
    trials: Sequence[Observation] = (),
    runs: Mapping[Start, Run] | None = None,
    tried: Sequence[Run] = (),
) -> Recommendation:
    """The answer from the history and `trials`; `runs` are shown beside their starts, `tried` tell rate and depth."""
    history = (*case.history, *trials)
    ranked = rank_starts(history, case.situations, seed=case.request.seed, scales=case.scales)
    first = ranked[0].situation
    settings = case.settings(tried)
    all_rows = ranked_starts(ranked, history, runs=runs or {}, options=case.options, tried=settings)
    rows = first_rows(all_rows, case.request.top)
    supported = _is_supported(history, first)
    omitted = _omitted(case, history) if trials else case.omitted
    train, yolo = _commands(case, first, rows[0])
    return Recommendation(
        profile=case.profile,
        budget=first.budget,
        task=case.target.task,
        ranking=rows,
        warnings=_warnings(case, ranked, level_supported=supported, any_runs=bool(history)),
        notes=_notes(case, ranked, rows, all_rows, omitted, settings.get(rows[0].start, ())),
        folded=omitted,
        device=device(case.request.device).title if case.request.device else None,
        limits=limits_in_words(case.request),
        max_latency_ms=case.request.max_latency,
        max_hours=case.request.max_hours,
        max_flops_b=case.request.max_flops,
        level_supported=supported,
        method=_method(history),
        train_command=train,
        command=yolo,
        provenance=_provenance(case.request, case.profile, ranked, history),
        decision=decide(ranked, history, scales=case.scales, hours=case.hours()),
        rests_on=runs_used(history, first, case.scales),
    )


def with_evidence(
    target: Dataset,
    situations: Sequence[Situation],
    request: RecommendRequest,
    *,
    store: Store,
    progress: Progress = silent,
) -> tuple[Situation, ...]:
    """The starts with the evidence on their checkpoints; frozen starts only where the backbone transfers whole."""
    profile = situations[0].target
    evidence = gather(
        target,
        replace(profile, class_names=mapped(profile.class_names, request.class_map)),
        list({s.start.checkpoint: s.checkpoint for s in situations if s.checkpoint}.values()),
        {s.source.dataset_hash: s.source for s in situations if s.source},
        store=store,
        max_feature_candidates=request.max_feature_candidates,
        progress=progress,
    )
    return tuple(
        replace(s, evidence=evidence.get(s.start.checkpoint, s.evidence))
        for s in situations
        if s.start.mode != "freeze" or evidence[s.start.checkpoint].backbone_transferred in (1.0, None)
    )


def _unknown_names(request: RecommendRequest, situations: Sequence[Situation]) -> tuple[Notice, ...]:
    """A notice of the classes that `--map` names and no checkpoint here knows; none where one of them knows each."""
    known = {s.start.checkpoint: s.checkpoint.class_names or () for s in situations if s.checkpoint}.values()
    lost = [
        name for name in request.class_map.values() if not any(overlap((name,), names) for names in known)
    ]
    if not lost:
        return ()
    return (
        Notice(
            code="map_unknown",
            message=f"No checkpoint here has a class {' or '.join(map(printable, lost))}, which --map names: it "
            "changes nothing. `recommend checkpoints show NAME` lists its classes.",
        ),
    )


def _commands(case: Study, first: Situation, row: RankedStart) -> tuple[str, str]:
    """`recommend train …` and `yolo … train …` of the first start."""
    fetch = fetch_first(first.checkpoint)
    scratch = usual_architecture(case.situations, case.target.task)
    setting = RecipeSetting(learning_rate=row.learning_rate, freeze=row.freeze)
    reading = reading_options(case.request)
    train = train_command(
        first.start,
        first.budget,
        case.request.dataset,
        scratch=scratch,
        class_map=case.request.class_map,
        reading=reading,
        imgsz=task_definition(case.target.task).imgsz,
        setting=setting,
    )
    yolo = yolo_command(
        first,
        case.target,
        case.request.dataset,
        scratch=scratch,
        reading=reading,
        setting=setting,
    )
    return fetch + train, fetch + yolo


def _is_supported(history: Sequence[Observation], asked: Situation) -> bool:
    """True if some finished run was made near the budget. A trial that broke off shows little of how it would end."""
    return is_supported([one.situation for one in history if one.partial is None], asked)


def _omitted(case: Study, history: Sequence[Observation]) -> tuple[OmittedStart, ...]:
    """The omitted starts with the scores of a history that holds trials."""
    if not case.omitted:
        return ()
    return rescored(case.omitted, case.omitted_situations, case.situations, history, case.scales)


def _notes(
    case: Study,
    ranked: Sequence[StartForecast],
    rows: Sequence[RankedStart],
    all_rows: Sequence[RankedStart],
    omitted: Sequence[OmittedStart],
    tried_of_first: Sequence[SettingGain],
) -> tuple[Notice, ...]:
    """The notes beside the warnings, of the choice first and of costs last."""
    return (
        *case.notes,
        *omitted_notes(omitted, case.situations),
        *notes(ranked),
        *setting_note(rows[0].start, tried_of_first),
        *cost_notes(
            rows,
            case.target,
            case.profile,
            hours_on=case.speed.told if case.speed else None,
            ranked=all_rows,
            limits=limits_in_words(case.request),
            gpu=case.request.gpu,
            scratch=usual_architecture(case.situations, case.target.task),
            omitted=omitted,
        ),
    )


def _counted_runs(store: Store, target_hash: str) -> tuple[Run, ...]:
    """The runs on a data set that the forecast may learn from."""
    ignored = store.runs.ignored()
    runs = store.runs.list(target_hash=target_hash, statuses=RANKABLE)
    return tuple(run for run in runs if run.id not in ignored)


def _warnings(
    case: Study, ranked: Sequence[StartForecast], *, level_supported: bool, any_runs: bool
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


def _method(history: Sequence[Observation]) -> str:
    if not history:
        return "rules"
    targets = len({observation.situation.target.dataset_hash for observation in history})
    return f"rules and {counted(len(history), 'run')} on {counted(targets, 'data set')}"


def _provenance(
    request: RecommendRequest,
    profile: Profile,
    ranked: Sequence[StartForecast],
    history: Sequence[Observation],
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
