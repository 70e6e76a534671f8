"""An attempt whose training takes no time; everything around it is the real thing."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from typing import Any

from recommender.errors import UsageError
from recommender.records import Environment, EpochMetrics, Run
from tune_jobs import full_training
from tune_jobs.training import TrainingJob
from tune_jobs.training.record import blank_record


def trivial(job: TrainingJob, *, on_epoch: Any) -> Run:
    """Two points of a curve and a file of weights, after the seconds that TRIVIAL_SECONDS says."""
    import numpy as np
    from safetensors.numpy import save_file

    if "TRIVIAL_ERROR" in os.environ:
        raise RuntimeError(os.environ["TRIVIAL_ERROR"])
    if "TRIVIAL_USAGE_ERROR" in os.environ:
        raise UsageError(os.environ["TRIVIAL_USAGE_ERROR"])
    state = job.output / "resume.pt"
    done = int(state.read_text()) if state.exists() else 0
    curve = [_point(epoch) for epoch in range(1, done + 1)]
    fault = "RuntimeError: CUDA error"
    for epoch in range(done + 1, job.recipe.epochs + 1):
        if os.environ.get("TRIVIAL_FAULT_BEFORE") == str(epoch):  # in every attempt
            return replace(_run(job, tuple(curve), "failed"), error=fault)
        time.sleep(float(os.environ.get("TRIVIAL_SECONDS", "0")))
        curve.append(_point(epoch))
        state.write_text(str(epoch))
        if on_epoch(curve[-1]) is False:
            return _run(job, tuple(curve), "stopped")
        if not done and os.environ.get("TRIVIAL_FAULT_AFTER") == str(epoch):
            return replace(_run(job, tuple(curve), "failed"), error=fault)
    (job.output / "went_on_after.txt").write_text(str(done))
    weights = job.output / "weights" / "best.safetensors"
    weights.parent.mkdir()
    save_file({"w": np.ones(3, dtype=np.float32)}, weights, metadata={"class_names": '["a", "b"]'})
    return _run(job, tuple(curve), "succeeded")


def _point(epoch: int) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch,
        score=0.01 * epoch,
        details={"map50": 0.2, "map75": 0.1, "precision": 0.3, "recall": 0.4},
        seconds=1.0,
    )


def _run(job: TrainingJob, curve: tuple[EpochMetrics, ...], status: Any) -> Run:
    where = Environment(hardware="none", device="cpu", num_threads=1, versions={})
    return replace(
        blank_record(job, where), status=status, num_train_images=1, curve=curve, best=curve[-1], seconds=1.0
    )


if __name__ == "__main__":
    full_training._places = lambda asked, num_threads: {}  # without the seconds that torch takes
    sys.exit(full_training.main(training=trivial, artefacts=lambda job: None))
