"""The frozen records that pass between the stages.

Shape suffixes of arrays: N images, M objects, C classes, D dataset-vector dimensions,
K feature dimensions, B bytes of an image hash, Q quantiles (5, 25, 50, 75, 95 %).
Unknown is None, never a guess. Of records that are published (`recommender.report.document`) the strings below fields
are their descriptions in the JSON schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from recommender.evidence_json import ScoresBeside
from recommender.starts import MODES as MODES
from recommender.starts import SCRATCH as SCRATCH
from recommender.starts import FreezeDepth as FreezeDepth
from recommender.starts import Mode as Mode
from recommender.tasks import Task

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
BOX_QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95)

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]


# ── data sets ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImage:
    """One image and its objects. The file is the user's: read it, never write it.

    An image of a classification set has one object: its class, with the whole image as its box. In an instance
    segmentation set each object has `polygons` too, and its box is their extent.
    """

    path: Path
    name: str  # relative to the data set's root, for people
    split: Split
    width: int  # pixels, after EXIF orientation
    height: int
    sha256: str  # of the file's bytes
    classes_M: IntArray
    boxes_M4: FloatArray  # centre x, centre y, width, height; fractions of the image, within [0, 1]
    polygons: tuple[tuple[FloatArray, ...], ...] | None = (
        None  # of each object its rings P2: x, y as fractions
    )
    # Rings count by the even-odd rule: parts apart are one object, a ring in another is a hole.


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One kind of fault found in a data set."""

    kind: str  # stable code, e.g. "label_nan", "image_truncated", "near_duplicate_leak"
    severity: Literal["info", "warning", "error"]
    count: int
    examples: tuple[str, ...]  # at most five, "relative/path: what is wrong"
    remedy: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A labelled data set of one task, whatever its format on disk."""

    name: str
    root: Path
    format: str  # "yolo", "coco", "voc", "folder", "class folders", …
    class_names: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    content_hash: str  # of task, image bytes, labels, splits and class names; not of paths or times
    split_origin: Literal["given", "seeded"]
    task: Task = "detect"
    config: Path | None = None  # the user's data.yaml, where ultralytics could read it as it is
    defects: tuple[Defect, ...] = ()

    def of_split(self, split: Split) -> tuple[LabelledImage, ...]:
        """The images of one split."""
        return tuple(image for image in self.images if image.split == split)


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """Images per split."""

    train: int
    val: int
    test: int = 0


# ── profiles ─────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """The profile of a data set, for which its images need not be opened again."""

    dataset_hash: str
    dataset_name: str
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    num_images: SplitCounts
    num_objects: int
    box_sizes_Q: tuple[float, ...]  # sqrt(box area / image area)
    box_aspects_Q: tuple[float, ...]  # width / height, in pixels
    median_width: int  # pixels
    median_height: int
    encoder: str  # id of the probe and its embedding, vectors of different ids never mix
    embedding_D: FloatArray  # unit-scale kernel mean embedding: image block, object block
    embedding_noise: tuple[float, float]  # expected squared sampling error of the two blocks
    image_vectors_NK: FloatArray  # a seeded sample of images
    image_names: tuple[str, ...]  # of that sample
    object_vectors_MK: FloatArray  # a seeded sample of objects
    object_classes_M: IntArray
    object_images: tuple[str, ...]  # image name of each sampled object
    image_hashes_NB: ByteArray  # 256-bit dHash of every image, for near duplicates
    task: Task = "detect"


# ── checkpoints ──────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """One earlier training in the history of a checkpoint's weights."""

    source_name: str  # of the data: "COCO"
    source_images: int | None = None
    source_hash: str | None = None
    checkpoint: str | None = None  # the weights that came out of it, where they are known by a name
    sha256: str | None = None  # of those weights: names may be given anew, this is what they are
    known_by: Literal["card", "user", "file", "run", "weights"] = "card"  # who says so: see docs/training.md


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Weights, architecture, and what is known of their training data and licence."""

    name: str
    origin: Literal["zoo", "catalogue", "registry"]
    architecture: str  # "yolo11n"
    family: str  # "yolo11"
    num_parameters: int | None = None
    class_names: tuple[str, ...] | None = None
    licence: str | None = None  # of the weights, SPDX where one exists
    source_name: str | None = None
    source_hash: str | None = None  # content hash of the source data set
    source_licence: str | None = None
    source_images: int | None = None
    source_score: float | None = None  # the task's primary metric on its own val split
    train_imgsz: int | None = None
    train_epochs: int | None = None
    from_scratch: bool = (
        False  # known to have begun from random weights, so that its source is all it has seen
    )
    sha256: str | None = None  # of the stored file
    url: str | None = None
    path: Path | None = None  # the safetensors file here, None while not fetched
    attribution: str | None = None
    task: Task = "detect"
    owner: str | None = None  # of the service's key that brought it; None: the user of this machine
    kept: bool = True  # False: a file that was named once, which takes part only where it is named
    lineage: tuple[TrainingStep, ...] | None = (
        None  # trainings before its own, the first first; () began randomly
    )
    flops_b: float | None = None  # 10^9 operations for one image of 640 × 640 pixels

    @property
    def available(self) -> bool:
        """True if the weights are on this machine."""
        return self.path is not None


@dataclass(frozen=True, kw_only=True)
class LayerTransfer:
    """The share of one top-level layer of the target's model that a checkpoint fills."""

    layer: int
    module: str  # "C3k2"
    part: Literal["backbone", "neck", "head"]
    num_parameters: int
    num_transferred: int


@dataclass(frozen=True, kw_only=True)
class TransferCoverage:
    """The weights of a checkpoint that transfer to the target's model, computed per tensor."""

    layers: tuple[LayerTransfer, ...]
    classes_matched: int  # class rows of the head that keep their meaning
    num_classes: int  # of the target

    def share(self, part: str | None = None) -> float:
        """Share of parameters transferred, of one part or of all; 0 when there are none."""
        chosen = [layer for layer in self.layers if part is None or layer.part == part]
        total = sum(layer.num_parameters for layer in chosen)
        return sum(layer.num_transferred for layer in chosen) / total if total else 0.0

    def incomplete(self, *, below: int) -> tuple[LayerTransfer, ...]:
        """The layers before this one that are not transferred whole."""
        return tuple(
            layer
            for layer in self.layers
            if layer.layer < below and layer.num_transferred < layer.num_parameters
        )


@dataclass(frozen=True, kw_only=True, order=True)
class Start:
    """A checkpoint and a mode. Random weights are checkpoint "scratch", mode "scratch"."""

    checkpoint: str
    mode: Mode

    @property
    def start(self) -> Start:
        """The start alone, as a key: without the fields of a ranked or a folded one."""
        return Start(checkpoint=self.checkpoint, mode=self.mode)

    def __str__(self) -> str:
        return self.checkpoint if self.mode == "scratch" else f"{self.checkpoint}:{self.mode}"


# ── evidence and forecast ────────────────────────────────────────────────────


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


def _described(text: str) -> Any:
    """A field that is None unless given. Pydantic takes no description from the string below an inherited field."""
    return field(default=None, metadata={"description": text})


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a start at one image size; None is not known."""

    flops_b: float | None = _described("10^9 operations for one image.")
    latency_ms: float | None = _described("Of one image on the device asked for.")
    latency_basis: str | None = _described('"measured", or from which model and size it is estimated.')
    memory_mb: float | None = _described("Of the device while it runs the model.")
    training_mb: float | None = _described(
        "Estimated peak memory of the full training on a GPU in batches of 16, all layers trained."
    )
    hours: float | None = _described(
        "Of the full training, on the GPU asked for, else the hardware of the newest runs."
    )
    money: float | None = _described("Of the full training, in the currency of the price asked with.")


@dataclass(frozen=True, kw_only=True)
class SizeOption(Cost):
    """A start at one image size, with its cost there."""

    imgsz: int
    """Pixels."""
    score: float
    """Expected, of the task's primary metric."""
    allowed: bool
    """Whether it keeps to the limits."""


@dataclass(frozen=True, kw_only=True)
class RankedStart(Cost, Start):
    """One row of the answer, with its cost at its image size."""

    rank: int
    score: Interval
    """Of the task's primary metric, after the full training."""
    p_best: float
    """Chance that no other start ends better; never rises with the rank: starts it would order otherwise share it."""
    expected_loss: float = 0.0
    """Against the best of all the starts, one training each; what the rank follows. Version 0.1 did not say."""
    gain_over_scratch: Interval
    evidence: Annotated[Evidence, ScoresBeside()]
    reasons: tuple[str, ...]
    available: bool
    """Whether the weights are on this machine."""
    architecture: str | None = None
    """That is trained; null for scratch: that of the others."""
    imgsz: int | None = None
    """Training image size in pixels; null in answers of version 0.1."""
    fetch_mb: float | None = None
    """About how large the weights are that are to be fetched first; null: they are here."""
    on_front: bool = False
    """Whether no other start reaches as much for less."""
    sizes: tuple[SizeOption, ...] = ()
    """The start at every image size looked at, its own included; empty where one was given."""
    learning_rate: float | None = None
    """To train with, by runs on this very data set; null: the default."""
    freeze: FreezeDepth | None = None
    """The same of the freeze depth; null: the mode's own."""
    trial: TrialResult | None = None


@dataclass(frozen=True, kw_only=True)
class FoldedStart(Cost, Start):
    """A start whose weights are not here, left out of the ranking since another stands for it."""

    imgsz: int
    """Pixels."""
    score: float
    """Expected, of the task's primary metric."""
    instead: Start
    """The one in the ranking that stands for it."""
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

    starts: tuple[Start, ...]
    """Which to try."""
    gain: float
    """Expected rise of the final choice, in the task's primary metric."""
    cost: float
    """In full-mode trainings of a YOLO11n on the same data and epochs."""
    hours: float | None = None
    """null where the speed of this machine is not known."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The start to take: the first row of the ranking, its expected loss against all the starts, and its ties."""

    start: Start
    expected_loss: float
    """Against the best of all the starts, one training each."""
    num_starts: int
    """How many were compared, shown or not."""
    tied: tuple[Start, ...]
    """Starts not told apart from the first, itself included, as `tie_rule` orders them."""
    tie_rule: str
    trials: TrialValue | None
    """null where trials are not expected to improve the choice."""


@dataclass(frozen=True, kw_only=True)
class RunUsed:
    """A past run that the answer rests on."""

    run: str
    target_name: str
    same_target: bool
    """Whether it ran on the data set in question."""
    start: Start
    epochs: int
    imgsz: int
    num_train_images: int
    score: float
    effect: float
    """By how much it moves the expected score of the first start."""


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
    folded: tuple[FoldedStart, ...] = ()  # best first


# ── runs ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that fixes a training apart from the start and the data.

    `learning_rate` None asks for the mode's default; `optimizer` is always named, since
    ultralytics' "auto" picks by iteration count and would give a trial another one than the full run.
    """

    epochs: int
    imgsz: int
    batch: int = 16
    optimizer: str = "AdamW"
    learning_rate: float | None = None
    patience: int | None = None  # epochs; None never stops early
    normalisation: Literal["batch", "group"] = "batch"
    fraction: float = 1.0  # of the train images, nested by seed
    seed: int = 0
    schedule_epochs: int | None = None  # a trial stops at `epochs` of this schedule; None: the same
    class_map: tuple[
        tuple[str, str], ...
    ] = ()  # (the data set's class, the checkpoint's that means the same)
    multi_scale: float = 0.0  # each batch is resized at random by up to this share of `imgsz`, up or down
    freeze: FreezeDepth | None = None  # None: the mode's own, the backbone for "freeze" and nothing else


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """One point of a learning curve. Losses that are not finite never get here."""

    epoch: int  # 1 is after the first epoch
    score: float  # the task's primary metric: mAP50-95 of detection
    details: dict[
        str, float
    ]  # the task's other metrics by name (`recommender.tasks`); what is unknown is left out
    seconds: float  # since the start of the training


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The environment of a run."""

    hardware: str
    device: str
    num_threads: int
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training with its curve, cost, seed and environment."""

    id: str  # content hash of what was asked: target, start, weights, recipe, code of the recipe
    kind: Literal["trial", "full"]
    status: Literal["succeeded", "stopped", "failed"]
    target_hash: str
    target_name: str
    start: Start
    weights_sha256: str | None
    source_hash: str | None
    architecture: str
    recipe: Recipe
    num_train_images: int
    curve: tuple[EpochMetrics, ...]
    starting_score: float | None  # the checkpoint's own score before the transfer, where classes match
    best: EpochMetrics | None
    seconds: float
    peak_memory_mb: float | None
    batch_used: int | None
    optimizer_used: str | None
    learning_rate_used: float | None
    weights_transferred: float | None
    environment: Environment
    notes: tuple[str, ...] = ()  # differences from what was asked
    error: str | None = None
    created_at: str = ""  # ISO 8601, UTC
    task: Task = "detect"
    cpu_seconds: float | None = None  # processor time of all threads, which a busy machine does not stretch


# ── jobs ─────────────────────────────────────────────────────────────────────

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
JOB_ENDED: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Work for a cluster, launched exactly once per attempt.

    The number of the attempt is the fencing token: reports of an older attempt are refused.
    """

    id: str
    kind: str  # "training", …: what its specification means
    owner: str  # who asked; an idempotency key is theirs alone
    key: str  # the idempotency key
    cluster: str  # only launchers of this cluster touch it
    status: JobStatus
    spec: str  # JSON, read by the kind's own code
    attempt: int  # 1, 2, …
    submitted: bool  # whether the cluster has confirmed this attempt's submission
    cancel_requested: bool
    crashes: int  # attempts that ended without a word
    collected: int  # batches of this attempt's reports that have been taken in
    metrics: EpochMetrics | None = None  # the newest point of the curve
    run_id: str | None = None
    checkpoint: str | None = None  # the registered result
    artefacts: str | None = None  # where results.csv, weights/best.pt, … lie
    error: str | None = None
    created_at: str = ""  # ISO 8601, UTC
    ended_at: str | None = None

    @property
    def submission_id(self) -> str:
        """The cluster's name for this attempt: the same whoever computes it, so it cannot be submitted twice."""
        return f"recommend-{self.id}-{self.attempt}"

    @property
    def ended(self) -> bool:
        """True if nothing more will happen."""
        return self.status in JOB_ENDED


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """Something that happened to a job. `seq` counts from 1 without gaps, for readers that resume."""

    seq: int
    attempt: int
    kind: str  # "status", "epoch", "note"
    data: str  # JSON object
    at: str  # ISO 8601, UTC


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The launcher that looks after a job. `beat` grows while it lives; no clock is compared between machines."""

    holder: str
    beat: int
