"""Time and memory of a training, estimated before it begins and kept beside what it took."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from recommender.costs.calibration import calibrated_speed
from recommender.costs.gpus import speed_before_runs
from recommender.costs.image_sizes import known_operations, operations, operations_of
from recommender.costs.training_memory import FRAMEWORK_MB, PROGRAM_MB, training_memory_mb
from recommender.costs.training_time import NEWEST, Speed, TrainingWork, known_speed
from recommender.records import Environment, Estimate, Mode, Recipe, Run, SplitCounts, Start
from recommender.store import Store
from recommender.tasks import Task
from recommender.text import counted, two_figures

LOOKED_AT = 8 * NEWEST  # runs among which those of the same task and kind are sought
NOTHING_TIMED = (
    "how long is not known, since nothing long enough to tell was timed here: "
    "`recommend calibrate` measures this machine in seconds"
)
UNKNOWN_NETWORK = "how long is not known, since nothing tells how many operations this network takes"


def speed_here(
    store: Store, task: Task, kind: Literal["trial", "full"] = "full", *, gpus: int | None = None
) -> Speed | None:
    """The speed by the newest runs of this task and kind, else by the calibration; None where there is neither.

    `gpus` are those that train together, 0 for a processor. None goes by runs on one GPU where this machine has one, as
    a training here would take it, else by what trained last: that may have been on a cluster. Only runs on as many
    count: how much several gain depends on how well they are fed, so it is timed or not known.
    """
    newest = [run for run in store.runs.page(limit=LOOKED_AT).items if _suits(run.environment, gpus)]
    on_gpu = [run for run in newest if _on_gpu(run.environment)]
    if gpus is None and len(on_gpu) not in (0, len(newest)) and _gpu_here():
        newest = on_gpu
    known = dict(known_operations())
    for run in newest:
        if run.architecture not in known:
            flops_b = operations_at(store, run.architecture, run.start)
            if flops_b is not None:
                known[run.architecture] = flops_b
    found = known_speed(newest, known, task=task, kind=kind, reference=speed_before_runs)
    if found is not None or (gpus or 1) > 1:
        return found
    return calibrated_speed(gpu=None if gpus is None else gpus > 0)


def _suits(environment: Environment, gpus: int | None) -> bool:
    """True if it trained on so many GPUs."""
    if environment.num_processes != max(gpus or 1, 1):
        return False
    return gpus is None or _on_gpu(environment) == (gpus > 0)


def _on_gpu(environment: Environment) -> bool:
    return environment.device.startswith("cuda")


def _gpu_here() -> bool:
    import torch

    return torch.cuda.is_available()


def operations_at(store: Store, architecture: str, start: Start) -> float | None:
    """10⁹ operations of a training's network at 640 px, by its architecture, else by its checkpoint."""
    known = operations_of(architecture)
    checkpoint = store.checkpoints.get(start.checkpoint) if known is None else None
    return known if checkpoint is None or checkpoint.architecture != architecture else operations(checkpoint)


def estimate_training(
    speed: Speed | None,
    *,
    architecture: str,
    mode: Mode,
    recipe: Recipe,
    num_images: SplitCounts,
    flops_b: float | None,
    gpus: int = 1,
) -> Estimate:
    """The estimate of a whole training, of a network of `flops_b` 10⁹ operations at 640 px. `gpus` share each batch.

    What is not known stays None.
    """
    seconds = None
    if speed is not None and flops_b is not None:
        work = TrainingWork(
            imgsz=recipe.imgsz,
            mode=mode,
            num_train_images=round(recipe.fraction * num_images.train),
            num_val_images=num_images.val,
            epochs=recipe.epochs,
            flops_b=flops_b,
            batch=recipe.batch,
        )
        seconds = speed.seconds(work)
    return Estimate(
        seconds=seconds,
        memory_mb=training_memory_mb(architecture, recipe.imgsz, -(-recipe.batch // gpus)),
        basis=None if speed is None else speed.basis,
    )


def about(seconds: float) -> str:
    """A duration to two figures: "about 40 s", "about 12 min", "about 3.5 h"."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def expected_memory_mb(run: Run) -> float | None:
    """The peak memory to compare with what the run took: of a GPU its tensors, else of the whole process."""
    cuda = _on_gpu(run.environment)
    if cuda and run.estimate is not None and run.batch_used in (None, run.recipe.batch):
        return run.estimate.memory_mb  # of one of its GPUs, as the peak is
    batch = -(-(run.batch_used or run.recipe.batch) // run.environment.num_processes)
    tensors = training_memory_mb(run.architecture, run.recipe.imgsz, batch, on_gpu=cuda)
    return tensors if cuda or tensors is None else tensors + PROGRAM_MB


def time_beside(run: Run) -> str:
    """The time in words, "41 s, estimated 38 s": what the run took, and what was expected where something was."""
    took = f"{run.seconds:.0f} s"
    expected = run.expected_seconds
    if expected is None:
        return took
    early = "" if len(run.curve) == run.recipe.epochs else f" for {counted(len(run.curve), 'epoch')}"
    return f"{took}, estimated {expected:.0f} s{early}"


def memory_beside(run: Run) -> str:
    """The memory in words: "at most 1512 MB of memory, estimated 1470 MB", "of GPU memory" for a run on one."""
    if run.peak_memory_mb is None:
        return "memory unknown"
    expected = expected_memory_mb(run)
    beside = "" if expected is None else f", estimated {expected:.0f} MB"
    kind = "GPU memory" if _on_gpu(run.environment) else "memory"
    return f"at most {run.peak_memory_mb:.0f} MB of {kind}{beside}"


def total_seconds(estimates: Iterable[Estimate]) -> float | None:
    """The seconds of all of them one after the other; None where one is not known."""
    every = [estimate.seconds for estimate in estimates]
    known = [seconds for seconds in every if seconds is not None]
    return sum(known) if known and len(known) == len(every) else None


def in_words(estimate: Estimate | None, gpus: int | None = None) -> str:
    """The estimate in words, ": about 12 min by 5 runs timed here; on a GPU about 1.9 GB"; "" where there is none.

    `gpus` as `speed_here` takes it.
    """
    if estimate is None:
        return ""
    seconds, memory_mb = estimate.seconds, estimate.memory_mb
    unknown = not_timed(gpus) if estimate.basis is None else UNKNOWN_NETWORK
    time = unknown if seconds is None else f"{about(seconds)} {estimate.basis}"
    memory = (
        "" if memory_mb is None else f"; on a GPU about {two_figures((memory_mb + FRAMEWORK_MB) / 1024)} GB"
    )
    return f": {time}{memory}"


def not_timed(gpus: int | None) -> str:
    """The reason why no time is told, where nothing was timed on so many GPUs; `gpus` as `speed_here` takes it."""
    if gpus is not None and gpus > 1:
        return f"how long is not known, since nothing long enough to tell was timed here on {counted(gpus, 'GPU')}"
    if gpus is not None and calibrated_speed() is not None:  # of the other: to calibrate again would not help
        where = "a GPU" if gpus else "the processor alone"
        return f"how long is not known, since nothing long enough to tell was timed here on {where}"
    return NOTHING_TIMED
