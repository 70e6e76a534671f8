"""A checkpoint as the model it is, and as the .pt that ultralytics reads."""

from __future__ import annotations

import datetime
import filecmp
from pathlib import Path
from typing import TYPE_CHECKING

from recommender.atomic_files import replacing
from recommender.checkpoints.files import load_state
from recommender.errors import ConflictError, StorageError, UsageError
from recommender.families.ultralytics.models import FIRST_CONV, build_like, num_classes_of
from recommender.families.ultralytics.transfer import input_channels, shared_input_channels
from recommender.records import Checkpoint

if TYPE_CHECKING:
    from torch import nn


def restore_model(checkpoint: Checkpoint) -> nn.Module:
    """The checkpoint's own model, with its own classes; what its weights do not fill stays random.

    Raises as `load_state`.
    """
    state = load_state(checkpoint)
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    names = checkpoint.class_names or tuple(map(str, range(num_classes_of(checkpoint.architecture, shapes))))
    model = build_like(checkpoint.architecture, len(names), shapes)
    own = model.state_dict()
    fitting = {key: tensor for key, tensor in state.items() if key in own and own[key].shape == tensor.shape}
    shared = shared_input_channels(shapes, {key: tuple(tensor.shape) for key, tensor in own.items()})
    if shared is not None:
        first = own[FIRST_CONV].clone()
        first[:, :shared] = input_channels(state[FIRST_CONV], shared)
        fitting[FIRST_CONV] = first
    model.load_state_dict(fitting, strict=False)
    model.names = dict(enumerate(names))  # type: ignore[assignment]
    return model


def export_pt(checkpoint: Checkpoint, file: Path, *, overwrite: bool = False) -> Path:
    """Write the .pt that `yolo TASK train model=FILE` and `YOLO(FILE)` take.

    The same checkpoint gives the same bytes, so an export that is already there is left as it is.

    Raises:
        UsageError: not a .pt name. ConflictError: another file is there. StorageError: it cannot be written.
    """
    if file.suffix != ".pt":
        raise UsageError(
            f"{file} does not end in .pt, which ultralytics asks for.", remedy="Name it NAME.pt."
        )
    model = restore_model(checkpoint)
    import torch
    import ultralytics

    arguments = {"task": checkpoint.task, "imgsz": checkpoint.train_imgsz or 640}
    package = {
        "epoch": -1,
        "model": model.half(),
        "ema": None,
        "optimizer": None,
        "train_args": arguments,
        "date": _date_of(checkpoint),
        "version": ultralytics.__version__,
        "license": checkpoint.licence,
    }
    try:
        with replacing(file) as part:
            with part.open("wb") as stream:  # by name, the name would become part of the content
                torch.save(package, stream)
            if file.exists() and not overwrite and not filecmp.cmp(part, file, shallow=False):
                raise ConflictError(
                    f"{file} exists already and is another file.",
                    remedy="Choose another name, or pass --force.",
                )
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"{file} cannot be written: {error}.", remedy="Check its folder and the free space."
        ) from error
    return file


def _date_of(checkpoint: Checkpoint) -> str:
    """The time its weights came to lie here; the present would make every export another file."""
    changed_s = checkpoint.path.stat().st_mtime if checkpoint.path else 0.0
    return datetime.datetime.fromtimestamp(changed_s, tz=datetime.UTC).isoformat()
