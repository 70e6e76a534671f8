"""Evidence, the ranked starts with their costs, and the recommendation that holds them.

`described` gives a field its description in the JSON schema (`recommender.report.document`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from recommender.records.checkpoints import Start
from recommender.records.evidence_json import FlatScores
from recommender.records.fields import described
from recommender.records.profiles import Profile
from recommender.starts import FreezeDepth
from recommender.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Numbers about one checkpoint on one target that cost no training; None is not measured."""

    similarity: float | None = None  # 1 − squared distance of the data sets' embeddings; 1 is alike
    image_similarity: float | None = None
    object_similarity: float | None = None
    class_overlap: float | None = None  # share of the target's classes the source knows
    box_size_shift: float | None = None  # |log2| of the median box sizes' ratio
    weights_transferred: float | None = None  # share of parameters that reach the target's model
    backbone_transferred: float | None = None
    source_images_seen: float | None = None  # share of target images found in the source
    nearest_sources: tuple[str, ...] = ()  # source of each of the nearest sampled objects
    # By the name of its row in `recommender.evidence.ESTIMATORS`; None: not defined here, absent: not measured.
    # Version 0.1 stored these beside the fields above, where `store.records_json` still finds them.
    scores: dict[str, float | None] = field(default_factory=dict, metadata={"once_beside": True})


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with a central interval of the given level."""

    mean: float
    low: float
    high: float
    level: float = 0.8


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something to know, with a stable code."""

    code: str
    message: str
    hint: str | None = None  # what to type on the command line about it; pages do not show it


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """The result of a short trial of a start."""

    run: str
    status: str
    epochs: int
    score: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a start at one image size; None is not known."""

    flops_b: float | None = field(default=None, metadata=described("10^9 operations for one image."))
    latency_ms: float | None = field(
        default=None, metadata=described("Of one image on the device asked for.")
    )
    latency_basis: str | None = field(
        default=None, metadata=described('"measured", or from which model and size it is estimated.')
    )
    memory_mb: float | None = field(
        default=None, metadata=described("Of the device while it runs the model.")
    )
    training_mb: float | None = field(
        default=None,
        metadata=described(
            "Estimated peak memory of the full training on a GPU in batches of 16, all layers trained."
        ),
    )
    hours: float | None = field(
        default=None,
        metadata=described(
            "Of the full training, on the GPU asked for, else the hardware of the newest runs."
        ),
    )
    money: float | None = field(
        default=None, metadata=described("Of the full training, in the currency of the price asked with.")
    )


@dataclass(frozen=True, kw_only=True)
class SizeOption(Cost):
    """A start at one image size, with its cost there."""

    imgsz: int = field(metadata=described("Pixels."))
    score: float = field(metadata=described("Expected, of the task's primary metric."))
    allowed: bool = field(metadata=described("Whether it keeps to the limits."))


@dataclass(frozen=True, kw_only=True)
class RankedStart(Cost, Start):
    """One row of the answer, with its cost at its image size."""

    rank: int
    score: Interval = field(metadata=described("Of the task's primary metric, after the full training."))
    p_best: float = field(
        metadata=described(
            "Chance that no other start ends better; never rises with the rank: starts it would order otherwise share "
            "it."
        )
    )
    expected_loss: float = field(
        default=0.0,
        metadata=described(
            "Against the best of all the starts, one training each; what the rank follows. Version 0.1 did not say."
        ),
    )
    gain_over_scratch: Interval
    evidence: Annotated[Evidence, FlatScores()]
    reasons: tuple[str, ...]
    available: bool = field(metadata=described("Whether the weights are on this machine."))
    architecture: str | None = field(
        default=None, metadata=described("That is trained; null for scratch: that of the others.")
    )
    imgsz: int | None = field(
        default=None, metadata=described("Training image size in pixels; null in answers of version 0.1.")
    )
    fetch_mb: float | None = field(
        default=None,
        metadata=described(
            "About how large the weights are that are to be fetched first; null: they are here."
        ),
    )
    on_front: bool = field(
        default=False, metadata=described("Whether no other start reaches as much for less.")
    )
    sizes: tuple[SizeOption, ...] = field(
        default=(),
        metadata=described(
            "The start at every image size looked at, its own included; empty where one was given."
        ),
    )
    learning_rate: float | None = field(
        default=None, metadata=described("To train with, by runs on this very data set; null: the default.")
    )
    freeze: FreezeDepth | None = field(
        default=None, metadata=described("The same of the freeze depth; null: the mode's own.")
    )
    trial: TrialResult | None = None


@dataclass(frozen=True, kw_only=True)
class OmittedStart(Cost, Start):
    """A start whose weights are not here, left out of the ranking since another stands for it."""

    imgsz: int = field(metadata=described("Pixels."))
    score: float = field(metadata=described("Expected, of the task's primary metric."))
    instead: Start = field(metadata=described("The one in the ranking that stands for it."))
    instead_score: float


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The budget of the full training."""

    epochs: int
    imgsz: int  # pixels, longer side


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Enough to compute the same answer again."""

    version: str
    seed: int
    history_runs: int
    encoder: str
    weights_sha256: dict[str, str] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrialValue:
    """The expected gain of training some starts to their end before choosing."""

    starts: tuple[Start, ...] = field(metadata=described("Which to try."))
    gain: float = field(
        metadata=described("Expected rise of the final choice, in the task's primary metric.")
    )
    cost: float = field(
        metadata=described("In full-mode trainings of a YOLO11n on the same data and epochs.")
    )
    hours: float | None = field(
        default=None, metadata=described("null where the speed of this machine is not known.")
    )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The start to take: the first row of the ranking, its expected loss against all the starts, and its ties."""

    start: Start
    expected_loss: float = field(metadata=described("Against the best of all the starts, one training each."))
    num_starts: int = field(metadata=described("How many were compared, shown or not."))
    tied: tuple[Start, ...] = field(
        metadata=described(
            "Starts not told apart from the first, itself included, as `tie_rule` orders them."
        )
    )
    tie_rule: str
    trials: TrialValue | None = field(
        metadata=described("null where trials are not expected to improve the choice.")
    )


@dataclass(frozen=True, kw_only=True)
class RunUsed:
    """A past run that the answer rests on."""

    run: str
    target_name: str
    same_target: bool = field(metadata=described("Whether it ran on the data set in question."))
    start: Start
    epochs: int
    imgsz: int
    num_train_images: int
    score: float
    effect: float = field(metadata=described("By how much it moves the expected score of the first start."))


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """Starts ordered by expected loss, with reasons, warnings and provenance."""

    profile: Profile
    budget: Budget
    ranking: tuple[RankedStart, ...]
    warnings: tuple[Notice, ...]
    method: str  # which forecast spoke: "prior", "learned", …
    train_command: str  # `recommend train …` of the first start
    command: str  # `yolo detect train …` of the same recipe
    provenance: Provenance
    decision: Decision
    rests_on: tuple[RunUsed, ...] = ()  # the runs with the largest effect, largest first
    level_supported: bool = True  # False: no run is near this budget, so only the order is worth trusting
    task: Task = "detect"
    device: str | None = None  # where the trained model is to run, in words
    limits: tuple[str, ...] = ()  # in words, as asked for: "30 ms on rpi5"
    max_latency_ms: float | None = None  # of `limits`, those that the picture of costs draws
    max_hours: float | None = None
    max_flops_b: float | None = None
    verdict: str | None = None  # what trials did to the answer; None where none ran
    notes: tuple[Notice, ...] = ()  # no faults: licences, and what stands in for something better
    folded: tuple[OmittedStart, ...] = ()  # best first
