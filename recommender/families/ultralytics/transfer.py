"""Transfer of a checkpoint's weights to a target's model: decided per tensor, applied, and counted.

Rules beyond "same name, same shape": rows of the class output move only where the class names match; a batch
norm or bias comes only together with the convolution it belongs to; the class branch takes the source's width
first, and a first convolution of other input channels fills those in common, both as in ultralytics' loader.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recommender.class_names import overlap
from recommender.families.row import Shapes
from recommender.families.ultralytics.models import FIRST_CONV, ModelShapes, model_shapes
from recommender.records import LayerTransfer, TransferCoverage

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class TransferPlan:
    """The tensors that transfer whole, and the rows of the class output with their new places."""

    whole: frozenset[str]
    row_tensors: frozenset[str]
    row_pairs: tuple[tuple[int, int], ...]  # (row in the target, row in the source)
    num_input_channels: int | None = None  # of the first convolution that move, where it reads others


def transfer(
    state: Mapping[str, Tensor],
    source_class_names: Sequence[str] | None,
    model: nn.Module,
    target_class_names: Sequence[str],
) -> TransferCoverage:
    """Copy into `model`, in place, whatever of `state` belongs there; the rest keeps its values.

    The class branch of the head is rebuilt at the source's width when that lets its hidden layers move,
    so call this before anything else changes or freezes the model.

    Args:
        state: tensors of a checkpoint, keys as in the state dict of an ultralytics DetectionModel.
        source_class_names: in the order of the checkpoint's class rows; None when unknown.
        model: from `build_model(architecture, len(target_class_names))`.
        target_class_names: in the order of the model's class rows.
    """
    import torch

    layers: Any = model.model
    source = {key: tuple(tensor.shape) for key, tensor in state.items()}
    num_backbone = len(model.yaml["backbone"])  # type: ignore[index]
    _match_class_width(source, layers, model_shapes(layers, num_backbone))
    shapes = model_shapes(layers, num_backbone)
    plan = plan_transfer(source, source_class_names, shapes, target_class_names)
    own = model.state_dict()
    with torch.no_grad():
        for key in plan.whole:
            own[key].copy_(state[key])
        if plan.num_input_channels is not None:
            first, shared = state[FIRST_CONV], plan.num_input_channels
            own[FIRST_CONV][:, :shared] = input_channels(first, shared)
        if plan.row_pairs:
            into, out_of = (list(rows) for rows in zip(*plan.row_pairs, strict=True))
            for key in plan.row_tensors:
                own[key][into] = state[key][out_of].to(own[key])
    return count_transfer(plan, shapes, len(target_class_names))


def input_channels(first_conv: Tensor, num_channels: int) -> Tensor:
    """The filters of a first convolution for so many of its input channels: one takes the sum of all, as in
    ultralytics, since grey light falls on all filters alike.
    """
    return first_conv.sum(1, keepdim=True) if num_channels == 1 else first_conv[:, :num_channels]


def plan_transfer(
    source: Shapes,
    source_class_names: Sequence[str] | None,
    target: ModelShapes,
    target_class_names: Sequence[str],
) -> TransferPlan:
    """Decide by names and shapes alone what moves."""
    rows = target.family.class_rows(target.head_layer, target.tensors)
    whole = {key for key, shape in target.tensors.items() if key not in rows and source.get(key) == shape}
    channels = shared_input_channels(source, target.tensors)
    moving = whole if channels is None else whole | {FIRST_CONV}
    whole = {key for key in whole if _partners(key, target.tensors) <= moving}
    matches = overlap(target_class_names, source_class_names or ())
    # Rows mean something only on top of the trained branch they were trained with.
    movable = {
        key
        for key in rows
        if source.get(key, ())[1:] == target.tensors[key][1:]
        and key in source
        and any(other.startswith(target.family.class_base(key)) for other in whole)
    }
    num_source_rows = min((source[key][0] for key in movable), default=0)
    pairs = tuple((match.target, match.source) for match in matches if match.source < num_source_rows)
    return TransferPlan(
        whole=frozenset(whole), num_input_channels=channels, row_tensors=frozenset(movable), row_pairs=pairs
    )


def count_transfer(plan: TransferPlan, target: ModelShapes, num_classes: int) -> TransferCoverage:
    """Count a plan's parameters per top-level layer; layers without parameters are left out."""
    total = [0] * len(target.modules)
    moved = [0] * len(target.modules)
    for key in target.parameters:
        shape = target.tensors[key]
        layer, size = int(key.split(".", 2)[1]), math.prod(shape)
        total[layer] += size
        if key in plan.whole:
            moved[layer] += size
        elif key == FIRST_CONV and plan.num_input_channels is not None:
            moved[layer] += size // shape[1] * plan.num_input_channels
        elif key in plan.row_tensors:
            moved[layer] += size // shape[0] * len(plan.row_pairs)
    return TransferCoverage(
        layers=tuple(
            LayerTransfer(
                layer=layer,
                module=module,
                part=target.part(layer),
                num_parameters=total[layer],
                num_transferred=moved[layer],
            )
            for layer, module in enumerate(target.modules)
            if total[layer]
        ),
        classes_matched=len(plan.row_pairs),
        num_classes=num_classes,
    )


def fitting_class_width(source: Shapes, target: ModelShapes) -> int | None:
    """Width the target's class branch should take for the source's to move; None to leave it alone."""
    width = target.family.class_width(target.head_layer, source)
    first_box = f"model.{target.head_layer}.cv2.0.0.conv.weight"
    if width is None or source.get(first_box) != target.tensors.get(first_box):
        return None  # a branch of another size cannot run on this neck
    return width


def shared_input_channels(source: Shapes, target: Shapes) -> int | None:
    """Input channels that first convolutions have in common; None where they are equal or otherwise different."""
    own, wanted = source.get(FIRST_CONV, ()), target.get(FIRST_CONV, ())
    alike = len(own) == len(wanted) == 4 and own[0] == wanted[0] and own[2:] == wanted[2:]
    return min(own[1], wanted[1]) if alike and own != wanted else None


def _match_class_width(source: Shapes, layers: Any, shapes: ModelShapes) -> None:
    width = fitting_class_width(source, shapes)
    if width is not None:
        head = layers[-1]
        reference = next(head.parameters())
        if shapes.family.set_class_width(head, width):
            head.to(reference.device, reference.dtype)


def _partners(key: str, tensors: Shapes) -> set[str]:
    """The tensors that have to transfer too for this tensor to keep its meaning."""
    owner, _, leaf = key.rpartition(".")
    if owner.endswith(".bn"):
        # Its convolution, and the statistics: without them it was a group norm, which is another function.
        wanted = {f"{owner[:-3]}.conv.weight", f"{owner}.running_mean", f"{owner}.running_var"}
    else:
        wanted = {f"{owner}.weight"} if leaf == "bias" else set()
    return wanted & tensors.keys()
