"""Time and memory of a full training, estimated before it begins."""

from __future__ import annotations

from recommender.checkpoints import catalogue
from recommender.cli.trials import about
from recommender.costs import NEWEST, USUAL_PARAMETERS, Work, known_speed
from recommender.devices.calibration import calibrated_speed
from recommender.image_sizes import operations, operations_of
from recommender.records import SCRATCH, Dataset
from recommender.requests import TrainingRequest
from recommender.starts import split_start, with_depth
from recommender.store import Store
from recommender.tasks import task_definition
from recommender.training_memory import training_memory_mb


def estimate_of(store: Store, request: TrainingRequest, dataset: Dataset) -> str:
    """Time and memory in words, for instance ", about 12 min (by 5 timed here) and about 1.9 GB on a GPU".

    Raises NotFoundError for a checkpoint nobody knows.
    """
    from recommender.checkpoints import get_checkpoint

    name, mode = split_start(with_depth(request.start or SCRATCH, request.freeze)[0])
    checkpoint = None if name == SCRATCH else get_checkpoint(store, name)
    usual = request.architecture or task_definition(dataset.task).architecture
    architecture = checkpoint.architecture if checkpoint else usual
    sizes = {one.architecture: one.num_parameters for one in catalogue() if one.num_parameters}
    speed = known_speed(store.runs.page(limit=NEWEST).items, sizes) or calibrated_speed()
    said = []
    if speed is not None:
        work = Work(
            num_parameters=(checkpoint.num_parameters if checkpoint else None) or USUAL_PARAMETERS,
            imgsz=request.imgsz,
            mode=mode or "full",
            num_train_images=len(dataset.of_split("train")),
            num_val_images=len(dataset.of_split("val")),
            epochs=request.epochs,
            flops_b=operations(checkpoint) if checkpoint else operations_of(usual),
        )
        basis = f"by {speed.num_runs} timed here" if speed.num_runs else "by the calibration of this machine"
        said.append(f"{about(speed.seconds(work))} ({basis})")
    else:
        said.append("for how long nothing here tells yet (`recommend calibrate` does)")
    memory = training_memory_mb(architecture, request.imgsz, -(-request.batch // (request.gpus or 1)))
    if memory is not None:
        said.append(f"about {memory / 1024:.2g} GB on a GPU")
    return f", {', '.join(said)}"
