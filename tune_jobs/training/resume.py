"""The state of a training between two epochs, so that a crashed full run goes on where it was.

Our own file of tensors and plain values, read back with `weights_only`; written whole or not at all.
"""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed as dist

from recommender.atomic_files import replacing
from recommender.records import EpochMetrics

VERSION = 1


def save_state(path: Path, run_id: str, trainer: Any) -> None:
    """Write the state after an epoch, by temp file and rename."""
    state = {
        "version": VERSION,
        "run_id": run_id,
        "epochs_done": trainer.epoch + 1,
        "model": trainer.bare_model.state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "ema_updates": trainer.ema.updates,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best_fitness": float(trainer.best_fitness or 0.0),
        "stopper": [float(trainer.stopper.best_fitness or 0.0), int(trainer.stopper.best_epoch)],
        "curve": [asdict(point) for point in trainer.curve],
        "best_state": trainer.best_state,
        "seconds": trainer.seconds(),
        "starting_score": trainer.starting_score,
        "random": _random_state(trainer),
    }
    with replacing(path, durable=True) as part, part.open("wb") as file:
        torch.save(state, file)


def load_state(path: Path, run_id: str) -> dict[str, Any] | None:
    """The state saved for this very run, or None where there is none or it cannot be read."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torn or foreign: torch raises half a dozen kinds. Starting anew is always right
        return None
    fits = isinstance(state, dict) and state.get("version") == VERSION and state.get("run_id") == run_id
    return state if fits else None


def restore_state(state: dict[str, Any], trainer: Any) -> None:
    """Put a trainer whose set-up is done where the saved one was."""
    trainer.bare_model.load_state_dict(state["model"])
    trainer.ema.ema.load_state_dict(state["ema"])
    trainer.ema.updates = state["ema_updates"]
    trainer.optimizer.load_state_dict(state["optimizer"])
    restore_scaler(state["scaler"], trainer.scaler)
    trainer.best_fitness = state["best_fitness"]
    trainer.stopper.best_fitness, trainer.stopper.best_epoch = state["stopper"]
    trainer.start_epoch = state["epochs_done"]
    trainer.curve = [EpochMetrics(**point) for point in state["curve"]]
    trainer.best_state = state["best_state"]
    trainer.seconds_before = state["seconds"]
    trainer.starting_score = state["starting_score"]
    trainer.family.resume_loss(trainer.bare_model, trainer.start_epoch)
    if trainer.job.num_processes == 1:
        _restore_random_state(state["random"], trainer)
    else:
        from ultralytics.utils.torch_utils import (
            init_seeds,
        )  # which is to be imported with its safety switches set

        # The state is the first process's, and each has to draw differently
        seed = trainer.job.recipe.seed + 1 + trainer.start_epoch * trainer.job.num_processes
        init_seeds(seed + dist.get_rank(), deterministic=True)


def restore_scaler(state: dict[str, Any], scaler: Any) -> None:
    """Set the scaler of gradients as it was; a state saved without mixed precision, on a processor, is empty."""
    if state:
        scaler.load_state_dict(state)


def _random_state(trainer: Any) -> dict[str, Any]:
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    generator = getattr(trainer.train_loader, "generator", None)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [
            str(name),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            position,
            has_gauss,
            cached,
        ],
        "torch": torch.random.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state(trainer.device)] if trainer.device.type == "cuda" else [],
        "loader": None if generator is None else generator.get_state(),
    }


def _restore_random_state(state: dict[str, Any], trainer: Any) -> None:
    loader = trainer.train_loader
    if getattr(loader, "iterator", 1) is None:
        loader.iterator = loader._get_iterator()  # draws from the generator, so before its state is set
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.random.set_rng_state(state["torch"])
    if state["cuda"] and trainer.device.type == "cuda":  # it may go on where there is another device
        torch.cuda.set_rng_state(state["cuda"][0], trainer.device)
    if state["loader"] is not None and getattr(loader, "generator", None) is not None:
        loader.generator.set_state(state["loader"])
