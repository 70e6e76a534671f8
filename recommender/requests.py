"""One request object per command: CLI flags, HTTP bodies and Python keywords build the same one."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from recommender.starts import MODES, FreezeDepth
from recommender.tasks import Task, task_definition
from recommender.text import NUMBER

BUDGET_FORM = re.compile(
    rf"\s*(?P<amount>{NUMBER})\s*(?P<gpu>gpu-)?"
    r"(?:(?P<s>s(?:ecs?|econds?)?)|(?P<m>m(?:ins?|inutes?)?)|(?P<h>h(?:rs?|ours?)?))\s*",
    re.IGNORECASE,
)
MAX_SEEDS = 100
STRIDE = 32  # pixels: the grid of a network's coarsest layer
UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def in_any_case(*choices: str) -> BeforeValidator:
    """Text that is one of these but for its case, as the choice is written; anything else as it is."""
    known = {choice.casefold(): choice for choice in choices}
    return BeforeValidator(
        lambda value: known.get(value.strip().casefold(), value) if isinstance(value, str) else value
    )


def _seeds_of(value: object) -> object:
    """A count N, also as text, stands for the seeds 0 to N − 1; text with commas names them."""
    if isinstance(value, str) and "," in value:
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, str):
        value = int(value) if re.fullmatch(r"\s*[0-9]{1,9}\s*", value) else 0
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_SEEDS:
            raise ValueError(f"give how many seeds, 1 to {MAX_SEEDS}, or name them with commas: 0,1,2")
        return tuple(range(value))
    return value


def _each_once(values: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(dict.fromkeys(values))


EACH_ONCE = AfterValidator(_each_once)


def _whole_strides(imgsz: int) -> int:
    """The next multiple of 32: what ultralytics trains at, whatever was asked for."""
    return -(-imgsz // STRIDE) * STRIDE


ImageSide = Annotated[int, Field(ge=STRIDE, le=4096), AfterValidator(_whole_strides)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[
    tuple[Seed, ...],
    BeforeValidator(_seeds_of),
    Field(min_length=1, max_length=MAX_SEEDS, description="Each start once for each: a count, or the seeds."),
    EACH_ONCE,
]
LearnedMode = Annotated[Literal["full", "freeze", "scratch"], in_any_case(*MODES)]
Optimizer = Annotated[
    Literal["AdamW", "Adam", "NAdam", "RAdam", "SGD"], in_any_case("AdamW", "Adam", "NAdam", "RAdam", "SGD")
]
AskedTask = Annotated[
    Task | None,
    in_any_case("detect", "segment", "classify"),
    Field(description="What the data set is read for; None: what its labels are made for."),
]
AskedDepth = Annotated[
    FreezeDepth | None,
    in_any_case("none", "stem", "backbone", "neck"),
    Field(description="Layers kept as they are, up to the end of this part; None: as the start's mode says."),
]
Axis = Literal["lr", "freeze"]
Axes = Annotated[
    tuple[Annotated[Axis, in_any_case("lr", "freeze")], ...],
    Field(description="Also vary: lr, the learning rate at a third and three times; freeze, how deep."),
]
ClassMap = Annotated[
    dict[str, str],
    Field(max_length=1000, description="The data set's class: the checkpoint's that means the same."),
]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Batch = Annotated[int, Field(ge=1, le=4096)]
Patience = Annotated[int, Field(ge=0, le=100_000, description="Epochs without gain; 0 never stops.")]
LearningRate = Annotated[float, Field(gt=0, le=1)]
AskedLearningRate = Annotated[LearningRate | None, Field(description="None: the mode's default.")]
Parameters = Annotated[int, Field(ge=1)]
Cpus = Annotated[int, Field(ge=1, le=1024)]
Modes = Annotated[tuple[LearnedMode, ...], Field(min_length=1), EACH_ONCE]
Fractions = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], ...],
    Field(min_length=1, max_length=20, description="Of the train images, nested by seed."),
    EACH_ONCE,
]
ScratchArchitecture = Annotated[
    str | None,
    Field(max_length=64, description="For scratch; None takes the starts' most common one."),
]
FurtherRoots = Annotated[tuple[str, ...], Field(description="Further folders a data.yaml may point to.")]
Licence = Annotated[Literal["any", "permissive"], in_any_case("any", "permissive")]


def _in_unit(units: dict[str, float], example: str) -> BeforeValidator:
    """A number, or text of a number and one of these units, as a number of the unit whose factor is 1."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(rf"({NUMBER})\s*([a-z/]*)", value.strip().casefold())
        factor = units.get(match.group(2)) if match else None
        if match is None or factor is None:
            raise ValueError(f"{value!r} is not understood; write {example}")
        return float(match.group(1)) * factor

    return BeforeValidator(read)


Milliseconds = Annotated[
    float,
    _in_unit({"": 1, "ms": 1, "s": 1000}, "30ms or 0.5s"),
    Field(gt=0, le=1e7, json_schema_extra={"examples": ["30ms"]}),
]
Megabytes = Annotated[
    float, _in_unit({"": 1, "mb": 1, "m": 1, "gb": 1024, "g": 1024}, "512MB or 2GB"), Field(gt=0, le=1e9)
]
Gigaflops = Annotated[float, _in_unit({"": 1, "g": 1, "b": 1, "t": 1000}, "20G"), Field(gt=0, le=1e7)]
Hours = Annotated[
    float, _in_unit({"": 1, "h": 1, "m": 1 / 60, "min": 1 / 60, "d": 24}, "2h or 30min"), Field(gt=0, le=1e6)
]
PricePerHour = Annotated[float, _in_unit({"": 1, "/h": 1}, "0.35/h"), Field(gt=0, le=1e6)]


def _kinds(annotation: object) -> set[object]:
    """The types that a field's annotation is made of."""
    return {annotation}.union(*map(_kinds, get_args(annotation))) if get_args(annotation) else {annotation}


class Request(BaseModel):
    """Unknown keys are refused: a misspelt option must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=4096)

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Python takes true for 1."""
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        given = value if isinstance(value, list | tuple) else (value,)
        if {int, float} & kinds and bool not in kinds and any(isinstance(one, bool) for one in given):
            raise ValueError("a number is asked for, not true or false")
        return value


CHOOSING = ("everything", "device", "gpu", "max_latency", "max_memory", "max_flops", "max_hours", "max_cost")


class RecommendRequest(Request):
    """The request of `recommend --dataset PATH`."""

    dataset: str = Field(min_length=1, description="Path of the data set, or its id in the service.")
    task: AskedTask = None
    checkpoints: tuple[str, ...] = Field(
        (), max_length=64, description="Only these, NAME or NAME:MODE, beside COCO and scratch."
    )
    without: tuple[str, ...] = Field((), max_length=64, description="Never these, NAME or NAME:MODE.")
    class_map: ClassMap = Field(default_factory=dict)
    keep: bool = Field(False, description="Weights files named here take part in later rankings too.")
    modes: Modes = MODES
    epochs: Epochs = 100
    imgsz: ImageSide = 640
    everything: bool = Field(
        False,
        description="Rank public checkpoints that are not here also where they promise no more than what is.",
    )
    here: bool = Field(
        False, description="Only checkpoints whose weights are on this machine, whatever else is asked for."
    )
    device: str | None = Field(
        None, max_length=64, description="Where the trained model will run, as `recommend devices` lists it."
    )
    max_latency: Milliseconds | None = Field(None, description='Of one image on the device: "30ms".')
    max_memory: Megabytes | None = Field(None, description='Of the device while it runs the model: "512MB".')
    max_flops: Gigaflops | None = Field(None, description="10^9 operations for one image at the chosen size.")
    gpu: str | None = Field(None, max_length=64, description='That will train: "t4". null: this machine.')
    max_hours: Hours | None = Field(None, description="Of the full training.")
    max_cost: Annotated[float, Field(gt=0, le=1e9)] | None = Field(
        None, description="Of the full training, in the currency of `price`."
    )
    price: PricePerHour | None = Field(None, description='Of an hour of training: "0.35/h".')
    top: Annotated[int, Field(ge=1, le=1000)] | None = Field(None, description="Rows shown; None is all.")
    max_params: Parameters | None = Field(None, description="Largest model, in parameters.")
    licence: Licence = "any"
    offline: bool = False
    seed: Seed = 0
    max_feature_candidates: Annotated[int, Field(ge=0, le=256)] = Field(
        12, description="Checkpoints whose own features are measured on the target."
    )
    allow_roots: FurtherRoots = ()

    @property
    def chooses(self) -> bool:
        """True if all models are to be ranked, also those that promise no more than what is on this machine."""
        return any(getattr(self, name) not in (None, False) for name in CHOOSING)

    @property
    def chooses_size(self) -> bool:
        """True if the image size is to be chosen too: it is where none is named, and no task's usual one is set."""
        return "imgsz" not in self.model_fields_set

    @model_validator(mode="after")
    def _limits_have_what_they_need(self) -> RecommendRequest:
        if self.device is None and (self.max_latency is not None or self.max_memory is not None):
            raise ValueError(
                "--max-latency and --max-memory are a device's: name it, --device rpi5 (`recommend devices` lists them)"
            )
        if self.max_cost is not None and self.price is None:
            raise ValueError("--max-cost needs the price of an hour of training: --price 0.35/h")
        return self


class PaidRequest(Request):
    """Trainings on Ray that cost something: where they run, and within what."""

    budget: str | None = Field(
        None, description='Hard cap: "10m" of wall time, or "2gpu-h" across the cluster.'
    )
    address: str | None = None
    gpus_per_trial: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="Of one GPU, on which a trial trains: 0.5 lets two share it, 0 trains on processors.",
    )

    @field_validator("budget")
    @classmethod
    def _known_form(cls, budget: str | None) -> str | None:
        return require_budget(budget)


class ManyTrainingsRequest(PaidRequest):
    """The options that sweeps and comparisons share."""

    cpus_per_trial: Cpus | None = None
    parallel: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="Trainings at a time, at most."
    )
    storage: str | None = Field(None, description="Path or URL that keeps finished runs beside the store.")
    allow_roots: FurtherRoots = ()


class TrialsRequest(PaidRequest):
    """The options of short trials."""

    trials: Annotated[int, Field(ge=1, le=10_000)] | None = None
    axes: Axes = ()

    @model_validator(mode="after")
    def _some_limit(self) -> TrialsRequest:
        if self.trials is None and self.budget is None:
            raise ValueError("name --trials N or --budget, so that the cost is known")
        return self


class SweepRequest(ManyTrainingsRequest):
    """The request of `recommend sweep` and `POST /v1/sweeps`: every start on every target."""

    datasets: Annotated[tuple[str, ...], EACH_ONCE] = Field(
        min_length=1, max_length=256, description="Paths, or ids in the service."
    )
    task: AskedTask = None
    checkpoints: Annotated[tuple[str, ...], EACH_ONCE] = Field(
        (), max_length=256, description="Only these; none names all at hand."
    )
    modes: Modes = MODES
    seeds: Seeds = (0,)
    fractions: Fractions = (1.0,)
    epochs: Epochs = 100
    imgsz: ImageSide = 640
    batch: Batch = 16
    optimizer: Optimizer = "AdamW"
    learning_rate: AskedLearningRate = None
    axes: Annotated[Axes, EACH_ONCE] = ()
    patience: Patience = 0
    architecture: ScratchArchitecture = None
    max_params: Parameters | None = None


class CompareRequest(ManyTrainingsRequest):
    """The request of `recommend compare`: chosen starts trained side by side, one report."""

    dataset: str = Field(min_length=1, description="Path of the data set.")
    task: AskedTask = None
    starts: Annotated[tuple[str, ...], EACH_ONCE] = Field(
        (),
        max_length=64,
        description='"scratch", NAME, NAME:freeze, or a weights file with or without a mode; none takes scratch and '
        "the usual checkpoint of the task, fine-tuned and frozen.",
    )
    fractions: Fractions = (1.0,)
    seeds: Seeds = (0, 1, 2)
    epochs: Epochs = 100
    patience: Patience = 50
    test: Annotated[Literal["auto", "test", "val"], in_any_case("auto", "test", "val")] = Field(
        "auto",
        description="Split on which the trained models are scored; auto takes test where there is one.",
    )
    imgsz: ImageSide = 640
    batch: Batch = 16
    optimizer: Optimizer = "AdamW"
    learning_rates: Annotated[tuple[LearningRate | Literal["default"], ...], EACH_ONCE] = Field(
        ("default",),
        min_length=1,
        max_length=10,
        description="Each is tried; the best one of a start goes on.",
    )
    normalisation: Annotated[Literal["auto", "batch", "group"], in_any_case("auto", "batch", "group")] = (
        Field("auto", description="Of scratch; auto takes group norm at batches under 4.")
    )
    multi_scale: bool = Field(
        False, description="Train every start on images resized at random by up to half, batch by batch."
    )
    tta: bool = Field(
        False, description="Score with test-time augmentation too: three sizes of each image, one mirrored."
    )
    architecture: ScratchArchitecture = None
    confidence: Annotated[float, Field(ge=0.05, lt=1)] = Field(0.5, description="Of the boxes drawn.")
    pictures: Annotated[int, Field(ge=0, le=50)] = Field(6, description="Held-out images shown.")
    photos: bool = Field(True, description="False draws the boxes on empty frames, for reports that travel.")


class TrainingRequest(Request):
    """The request of `recommend train` and `POST /v1/trainings`: one full training."""

    dataset: str = Field(min_length=1, description="Path of the data set, or its id in the service.")
    task: AskedTask = None
    start: str | None = Field(
        None, description='"coco:full", "NAME:freeze", "scratch"; None takes the first advised.'
    )
    epochs: Epochs = 100
    imgsz: ImageSide = 640
    batch: Batch = 16
    patience: Patience = 50
    optimizer: Optimizer = "AdamW"
    learning_rate: AskedLearningRate = None
    freeze: AskedDepth = None
    architecture: str | None = Field(
        None, max_length=64, description="For scratch; a checkpoint brings its own."
    )
    name: str | None = Field(None, max_length=64, description="Of the checkpoint that comes out.")
    class_map: ClassMap = Field(default_factory=dict)
    seed: Seed = 0
    gpus: Annotated[int, Field(ge=0, le=64)] | None = Field(
        None, description="On one node; None takes one if any."
    )
    cpus: Cpus | None = Field(None, description="On that node; None takes what fits the place.")
    allow_roots: FurtherRoots = ()


Sized = TypeVar("Sized", RecommendRequest, TrainingRequest, SweepRequest, CompareRequest)


def at_usual_size(request: Sized, task: Task) -> Sized:
    """The request with the task's usual image size, where it names none; a recommendation may choose one itself."""
    usual = task_definition(task)
    chosen = isinstance(request, RecommendRequest) and usual.sizes_compared
    if chosen or "imgsz" in request.model_fields_set:
        return request
    return request.model_copy(update={"imgsz": usual.imgsz})


def require_budget(budget: str | None) -> str | None:
    """The budget when its form is known. Raises ValueError, which pydantic turns into its own."""
    if budget is not None and not BUDGET_FORM.fullmatch(budget):
        raise ValueError(f"budget {budget!r} is not understood; write 90s, 10m, 1.5h or 2gpu-h")
    return budget
