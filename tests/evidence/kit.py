"""Small checkpoints and data sets for the evidence tests; nothing here is trained, and nothing needs to be."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from recommender.checkpoints import build_model
from recommender.records import Checkpoint


def random_checkpoint(
    folder: Path, name: str = "random", *, architecture: str = "yolo11n", seed: int = 0
) -> Checkpoint:
    """Random weights in a file of their own, batch norm statistics as if something had been learnt."""
    import torch

    torch.manual_seed(seed)
    model: Any = build_model(architecture, 2)
    state = dict(model.state_dict())
    for key, tensor in state.items():
        if key.endswith("running_var"):
            state[key] = torch.rand_like(tensor) + 0.5
        elif key.endswith(("running_mean", "bn.bias")):
            state[key] = 0.1 * torch.randn_like(tensor)
    return stored(folder, name, state, architecture)


def stored(folder: Path, name: str, state: dict[str, Any], architecture: str = "yolo11n") -> Checkpoint:
    """A registered checkpoint of these tensors."""
    from safetensors.torch import save

    content = save({key: tensor.contiguous() for key, tensor in state.items()})
    file = folder / f"{name}.safetensors"
    file.write_bytes(content)
    return Checkpoint(
        name=name,
        origin="registry",
        architecture=architecture,
        family="yolo11",
        num_parameters=sum(tensor.numel() for tensor in state.values()),
        class_names=("circle", "face"),
        sha256=hashlib.sha256(content).hexdigest(),
        path=file,
    )
