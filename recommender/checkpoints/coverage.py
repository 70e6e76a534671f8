"""The weights of a checkpoint that would transfer to a target's model, from shapes alone."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.checkpoints.files import stored_shapes
from recommender.errors import UsageError
from recommender.families.row import Shapes
from recommender.families.ultralytics.architectures import frozen_layers, of_task
from recommender.families.ultralytics.models import REFERENCE_CLASSES, tensor_shapes
from recommender.families.ultralytics.transfer import count_transfer, fitting_class_width, plan_transfer
from recommender.records import Checkpoint, TransferCoverage
from recommender.starts import FreezeDepth, Mode


def coverage(
    checkpoint: Checkpoint, target_architecture: str | None, target_class_names: Sequence[str]
) -> TransferCoverage:
    """The count that `transfer` returns, without building or reading a tensor.

    Args:
        checkpoint: its weights need not be on this machine.
        target_architecture: None takes the checkpoint's own.
        target_class_names: of the data set to train on.
    """
    chosen = target_architecture or checkpoint.architecture
    num_classes = len(target_class_names)
    source = _shapes_of(checkpoint)
    target = tensor_shapes(chosen, num_classes)
    width = fitting_class_width(source, target)
    if width is not None:
        target = tensor_shapes(chosen, num_classes, width)
    plan = plan_transfer(source, checkpoint.class_names, target, target_class_names)
    return count_transfer(plan, target, num_classes)


def require_freezable(
    checkpoint: Checkpoint, mode: Mode = "freeze", depth: FreezeDepth | None = None
) -> None:
    """Raise UsageError, naming the layers, where freezing would keep layers at random values.

    Also where the architecture has no part of that name.
    """
    num_frozen = frozen_layers(checkpoint.architecture, mode, depth)
    if num_frozen:
        # The classes do not reach below the head: with the reference's own number nothing is built, nor torch loaded.
        target = tensor_shapes(checkpoint.architecture, REFERENCE_CLASSES)
        plan = plan_transfer(_shapes_of(checkpoint), (), target, ())
        require_filled(checkpoint.name, count_transfer(plan, target, REFERENCE_CLASSES), num_frozen)


def require_filled(name: str, found: TransferCoverage, num_frozen: int) -> None:
    """Raise UsageError as `require_freezable`, for a transfer counted already and the number of layers to be frozen."""
    lacking = found.incomplete(below=num_frozen)
    if lacking:
        layers = ", ".join(f"{layer.layer} ({layer.module})" for layer in lacking)
        raise UsageError(
            f"{name}:freeze would keep layers at random values, for the checkpoint does not fill them: {layers}.",
            remedy=f"Train every layer instead: {name}:full.",
        )


def _shapes_of(checkpoint: Checkpoint) -> Shapes:
    if checkpoint.path is not None:
        return stored_shapes(checkpoint.path)
    own = of_task(checkpoint.architecture, checkpoint.task) or checkpoint.architecture
    return tensor_shapes(own, len(checkpoint.class_names or ()) or 80).tensors
