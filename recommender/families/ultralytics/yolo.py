"""YOLO as ultralytics builds it: branches of convolutions for boxes and classes on each level of the pyramid."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from recommender.families.row import ModelFamily, Shapes, silence_rows

MAX_CLASS_WIDTH = 100  # ultralytics never makes a class branch wider for its classes' sake

# Ultralytics keeps the kind of a head and the default activation in class attributes while it parses.
PARSING = threading.RLock()


def class_rows(head_layer: int, shapes: Shapes) -> set[str]:
    """Keys of the tensors whose rows are classes: the last convolutions of the head's class branches."""
    head = f"model.{head_layer}."
    branches = (f"{head}cv3.", f"{head}one2one_cv3.")
    return {key for key in shapes if key.startswith(branches) and key.split(".")[4:5] == ["2"]}


def class_base(key: str) -> str:
    """The hidden layer of the class branch that this output reads."""
    return key.rsplit(".", 2)[0] + ".1."


def class_width(head_layer: int, shapes: Shapes) -> int | None:
    """Hidden channels of the class branch among the tensors' shapes, None without such a branch."""
    for branch in ("cv3", "one2one_cv3"):
        shape = shapes.get(f"model.{head_layer}.{branch}.0.2.weight")
        if shape is not None and len(shape) == 4:
            return shape[1]
    return None


def set_class_width(head: Any, width: int) -> bool:
    """Rebuild the head's class branches with this many hidden channels, random weights; whether it changed.

    Ultralytics makes the branch as wide as min(classes, 100) allows, so that without this the trained
    hidden layers of an 80-class checkpoint fit no 2-class model (its own loader does the same).
    """
    from torch import nn
    from ultralytics.utils.torch_utils import initialize_weights

    inputs = [branch[0].conv.in_channels for branch in head.cv2]
    if width == head.cv3[0][-1].in_channels or not inputs[0] <= width <= MAX_CLASS_WIDTH:
        return False
    kind = type(head)
    options = {} if kind.__name__ == "v10Detect" else {"reg_max": head.reg_max}
    with PARSING:
        # `legacy` (plain or depthwise branch) is whatever the model parsed last left in the class.
        kind.legacy = not isinstance(head.cv3[0][0], nn.Sequential)
        for attribute in ("cv3", "one2one_cv3"):
            if getattr(head, attribute, None) is None:
                continue
            donor = kind(nc=width, ch=inputs, **options)
            initialize_weights(donor)
            for branch in donor.cv3:
                branch[-1] = nn.Conv2d(width, head.nc, 1)
            setattr(head, attribute, donor.cv3)
    if not head.cv3[0][-1].weight.is_meta:
        head.bias_init()
    return True


def silence(head: Any, classes: Sequence[int]) -> None:
    """Silence these classes in every branch."""
    branches = (*head.cv3, *(getattr(head, "one2one_cv3", None) or ()))
    silence_rows((branch[-1] for branch in branches), classes)


def resume_loss(model: Any, epochs: int) -> None:
    """Heads with two branches shift the loss from one to the other epoch by epoch; the others have no such state."""
    if getattr(model.model[-1], "one2one_cv2", None) is not None:
        model.criterion = model.init_criterion()
        model.criterion.updates = epochs - 1
        model.criterion.update()


YOLO = ModelFamily(
    name="yolo",
    task="detect",
    heads=frozenset({"Detect", "v10Detect"}),
    files=("yolo*.yaml",),
    model_class="DetectionModel",
    validator=("ultralytics.models.yolo.detect", "DetectionValidator"),
    class_rows=class_rows,
    class_base=class_base,
    class_width=class_width,
    set_class_width=set_class_width,
    silence=silence,
    resume_loss=resume_loss,
)
