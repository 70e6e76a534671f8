"""The benchmarks' shared inputs: public weights turned into safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tune_jobs.training import prepare_environment


def to_safetensors(file: Path, target: Path) -> tuple[str, ...]:
    """Convert an ultralytics .pt to fp16 safetensors with restricted loading; returns its class names."""
    import torch
    from safetensors.torch import save_file

    model = _load_model(file)
    state = {
        name: (tensor.half() if tensor.dtype == torch.float32 else tensor).contiguous()
        for name, tensor in model.state_dict().items()
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    save_file(state, part)
    part.replace(target)
    return tuple(model.names.values())


def load_classes(file: Path) -> tuple[str, ...]:
    """The class names inside an ultralytics .pt."""
    return tuple(_load_model(file).names.values())


def _load_model(file: Path) -> Any:
    prepare_environment()
    from ultralytics.nn.tasks import torch_safe_load

    package, _ = torch_safe_load(str(file))
    return package.get("ema") or package["model"]
