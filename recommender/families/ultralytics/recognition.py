"""The shipped architecture of a checkpoint's tensors, from names and shapes alone."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from recommender.errors import CheckpointError
from recommender.families.row import Shapes
from recommender.families.ultralytics.architectures import Architecture, Layer, architectures
from recommender.families.ultralytics.models import FIRST_CONV, ModelShapes, tensor_shapes
from recommender.text import printable

_REMEDY = "Checkpoints of these families can start a training: {families}; custom architectures cannot."
MIN_BACKBONE_SHARE = 0.3  # of its layers that a backbone under a foreign neck must bring to be of use

Extent = Literal["whole", "body", "backbone"]


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """An architecture and how much of it the tensors cover."""

    architecture: Architecture
    extent: Extent  # all of it; backbone and neck under another head; a part of the backbone alone
    num_classes: int | None  # rows of the class output, None without one


def recognise(
    shapes: Shapes,
    *,
    task: str | None = None,
    activation: str | None = None,
    layers: Sequence[Layer] | None = None,
) -> Recognised:
    """Find the architecture whose tensors these are, of the task that its head is for.

    Backbone and neck have to agree in every name and shape; under a head of no task of ours (pose, oriented boxes,
    anchors of YOLOv5) it counts as a detector, since what does not fit simply stays behind.

    Args:
        shapes: by canonical key, "model.0.conv.weight".
        task: what the file calls itself ("detection", "classification", …), for the message only.
        activation: the activation its model description names, None for the default.
        layers: of its own model description, [from, module, arguments] each; None where it brings none. Equal shapes
            with another pooling or upsampling are another function.

    Raises:
        CheckpointError: no shipped architecture fits; names the closest.
    """
    numbers = {int(match[1]) for key in shapes if (match := re.match(r"model\.(\d+)\.", key))}
    called = f"; it calls itself {task!r}." if task else "."
    if not numbers:
        raise CheckpointError(
            f"Its tensors are not named like those of a model of ultralytics{called}", remedy=_families()
        )
    if "model.0.conv.bias" in shapes and "model.0.bn.weight" not in shapes:
        raise CheckpointError(
            "Its batch norms are fused into the convolutions for inference; it cannot be trained further.",
            remedy="Add the checkpoint from before `fuse()` or export.",
        )
    scored = [(_score(shapes, candidate), candidate) for candidate in architectures().values()]
    best = max(scored, key=lambda pair: pair[0])
    found = _closest(shapes, best[0], [candidate for score, candidate in scored if score == best[0]])
    if found is None:
        (body, backbone), closest = best
        raise CheckpointError(
            f"Its tensors fit no architecture we know. The closest is {closest.name}, of which "
            f"{body:.0%} of the tensors before the head and the first {backbone:.0%} of the backbone fit{called}",
            remedy=_families(),
        )
    _check_activation(found.architecture, activation)
    if layers is not None:
        _check_layers(found, best[0][1], layers)
    return found


def _closest(
    shapes: Shapes, score: tuple[float, float], candidates: Sequence[Architecture]
) -> Recognised | None:
    """The one of the architectures that agree up to the head whose head fits too; else the plainest by name.

    `_may_fit` left only those of other tasks whose head the file has: they come before plain detectors. A deeper one
    holds all tensors of a shallower one: the one with the most tensors before the head comes first.
    """
    found = [
        one
        for candidate in sorted(
            candidates, key=lambda c: (-_num_body_tensors(c), c.kind.task == "detect", len(c.name), c.name)
        )
        if (one := _conclude(shapes, score, candidate)) is not None
    ]
    return next((one for one in found if one.extent == "whole"), found[0] if found else None)


def _num_body_tensors(candidate: Architecture) -> int:
    reference = tensor_shapes(candidate.name, 80)
    return sum(_layer(key) != reference.head_layer for key in reference.parameters)


def _score(shapes: Shapes, candidate: Architecture) -> tuple[float, float]:
    """Shares of the tensors before the head, and of the backbone's layers up to the first that differs."""
    if not _may_fit(shapes, candidate):
        return 0.0, 0.0
    reference = tensor_shapes(candidate.name, 80)
    body = [key for key in reference.parameters if _layer(key) != reference.head_layer]
    fitting = {key for key in body if _fits(shapes, reference, key)}
    misfits = {_layer(key) for key in body if key not in fitting}
    leading = min(misfits, default=reference.head_layer)
    backbone = min(leading, reference.num_backbone_layers) / reference.num_backbone_layers
    return len(fitting) / len(body), backbone


def _may_fit(shapes: Shapes, candidate: Architecture) -> bool:
    """A quick look at the first convolution and the head, so that most sizes need not be built."""
    if candidate.kind.task != "detect":
        head = f"model.{candidate.num_layers - 1}.{candidate.kind.mark}"
        if not any(key.startswith(head) for key in shapes):
            return False
    first, own = candidate.config(1)["backbone"][0], shapes.get(FIRST_CONV)
    if first[2] != "Conv" or own is None:
        return first[2] != "Conv" and own is None  # YOLOv9e begins with an identity
    scales = candidate.config(1).get("scales")
    width, most = (scales[candidate.scale][1:3]) if scales and candidate.scale else (1.0, math.inf)
    expected: float = math.ceil(min(first[3][0], most) * width / 8) * 8
    return own[0] == expected


def _conclude(shapes: Shapes, score: tuple[float, float], found: Architecture) -> Recognised | None:
    body, backbone = score
    if body < 1.0:
        if backbone < MIN_BACKBONE_SHARE or not any(key.endswith(".running_mean") for key in shapes):
            return None
        return Recognised(architecture=found, extent="backbone", num_classes=None)
    head_layer = found.num_layers - 1
    rows = {shapes[key][0] for key in found.kind.class_rows(head_layer, shapes)}
    anchors = shapes.get(f"model.{head_layer}.anchors")
    if len(rows) == 1:
        return Recognised(architecture=found, extent="whole", num_classes=rows.pop())
    output = shapes.get(f"model.{head_layer}.m.0.weight")
    if anchors is not None and output is not None and len(anchors) == 3:  # levels, anchors, 2
        return Recognised(architecture=found, extent="body", num_classes=output[0] // anchors[1] - 5)
    return Recognised(architecture=found, extent="body", num_classes=None)


def _fits(shapes: Shapes, reference: ModelShapes, key: str) -> bool:
    if key == FIRST_CONV:  # grey or multispectral input changes the channels, not the architecture
        own, wanted = shapes.get(key, ()), reference.tensors[key]
        return len(own) == 4 and (own[0], *own[2:]) == (wanted[0], *wanted[2:])
    return shapes.get(key) == reference.tensors[key]


def _check_activation(found: Architecture, activation: str | None) -> None:
    def plain(text: str | None) -> str:
        return re.sub(r"\s|torch\.", "", text or "nn.SiLU()")

    if plain(activation) != plain(found.activation):
        raise CheckpointError(
            f"It was trained with the activation {activation}, which {found.name} does not have.",
            remedy=_families(),
        )


def _check_layers(found: Recognised, backbone: float, layers: Sequence[Layer]) -> None:
    """Raise where a layer that counts as fitting computes something else than in the shipped architecture."""
    own = found.architecture.layers()
    num_compared = len(own) - 1 if found.extent != "backbone" else found.architecture.num_backbone_layers
    if found.extent == "backbone":
        num_compared = round(backbone * num_compared)
    for index, (told, expected) in enumerate(zip(layers[:num_compared], own, strict=False)):
        if _function(told) != _function(expected):
            raise CheckpointError(
                f"Its layer {index} is {_written(told)}, where {found.architecture.name} has {_written(expected)}: "
                "another function under the same shapes.",
                remedy=_families(),
            )


def _function(layer: Layer) -> tuple[Any, ...]:
    """Facts about a layer beyond its tensors' shapes: its inputs, its module, and its arguments but the channels."""
    source, module, arguments = layer
    plain = [None if argument == "None" else argument for argument in arguments]
    channels_first = isinstance(plain[0] if plain else None, int) and "." not in module and module != "Concat"
    return source, module, plain[1:] if channels_first else plain


def _written(layer: Layer) -> str:
    return printable(f"{layer[1]}{layer[2]} on {layer[0]}", limit=120)


def _families() -> str:
    return _REMEDY.format(families=", ".join(sorted({entry.family for entry in architectures().values()})))


def _layer(key: str) -> int:
    return int(key.split(".", 2)[1])
