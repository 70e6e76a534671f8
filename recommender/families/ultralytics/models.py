"""Models from shipped architectures: real ones with random weights, or their tensors' shapes alone."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from recommender.atomic_files import write_json
from recommender.errors import StorageError, UsageError
from recommender.families.row import ModelFamily, Shapes
from recommender.families.ultralytics.architectures import architecture
from recommender.families.ultralytics.table import family_of_head
from recommender.families.ultralytics.yolo import MAX_CLASS_WIDTH, PARSING
from recommender.home import subfolder
from recommender.ultralytics_safety import prepare_ultralytics

if TYPE_CHECKING:
    from torch import nn
    from torch.overrides import TorchFunctionMode

Part = Literal["backbone", "neck", "head"]
MAX_CLASSES = 10_000  # more is a mistake, and the head would not fit memory
REFERENCE_CLASSES = 80
FIRST_CONV = "model.0.conv.weight"


@dataclass(frozen=True, kw_only=True)
class ModelShapes:
    """The structure of a model, without its numbers."""

    tensors: Shapes  # parameters and buffers, by state dict key
    parameters: frozenset[str]  # keys of the parameters among them
    modules: tuple[str, ...]  # class of each top-level layer
    num_backbone_layers: int

    @property
    def head_layer(self) -> int:
        """Index of the head, the last layer."""
        return len(self.modules) - 1

    @property
    def family(self) -> ModelFamily:
        """The family, by its head. Raises LookupError for a head of another task."""
        found = family_of_head(self.modules[-1])
        if found is None:
            raise LookupError(f"{self.modules[-1]} is no head of a known family")
        return found

    @property
    def num_parameters(self) -> int:
        """Parameters, without the running statistics."""
        return sum(math.prod(self.tensors[key]) for key in self.parameters)

    def part(self, layer: int) -> Part:
        """The part of a top-level layer; the head is the last layer alone."""
        if layer < self.num_backbone_layers:
            return "backbone"
        return "head" if layer == self.head_layer else "neck"


def build_model(name: str, num_classes: int, *, class_width: int | None = None) -> nn.Module:
    """A model with random weights from torch's generator, in training mode.

    Args:
        name: the architecture, such as "yolo11n".
        num_classes: rows of the class output.
        class_width: hidden channels of the head's class branch, which depends on the number of classes
            it was first built for; None takes what the architecture says. See `transfer`.

    Raises:
        UsageError: unknown architecture or impossible number of classes.
    """
    config = _config(name, num_classes)
    from ultralytics.nn import tasks

    family = architecture(name).kind
    with PARSING:
        model: nn.Module = getattr(tasks, family.model_class)(config, ch=3, nc=num_classes, verbose=False)
        if class_width is not None:
            family.set_class_width(model.model[-1], class_width)  # type: ignore[index]
    return model


def build_like(name: str, num_classes: int, shapes: Shapes) -> nn.Module:
    """A model of random weights, its class branch as wide as among these tensors' shapes. Raises as `build_model`."""
    head_layer = tensor_shapes(name, num_classes).head_layer
    return build_model(name, num_classes, class_width=architecture(name).kind.class_width(head_layer, shapes))


def num_classes_of(name: str, shapes: Shapes) -> int:
    """Rows of the class outputs among these tensors; 80 where they have none."""
    known = architecture(name)
    keys = known.kind.class_rows(known.num_layers - 1, shapes)
    return min((shapes[key][0] for key in keys), default=REFERENCE_CLASSES)


@functools.lru_cache(maxsize=128)
def tensor_shapes(name: str, num_classes: int, class_width: int | None = None) -> ModelShapes:
    """Names and shapes of the tensors `build_model` would make, mostly without building anything."""
    _check_num_classes(num_classes)
    reference = _reference_shapes(name)
    family = architecture(name).kind
    built_width = family.class_width(reference.head_layer, reference.tensors)
    if built_width is not None:
        narrowest = reference.tensors[f"model.{reference.head_layer}.cv2.0.0.conv.weight"][1]
        fits = class_width is not None and narrowest <= class_width <= MAX_CLASS_WIDTH
        width = class_width if fits else None
        if (width or max(narrowest, min(num_classes, MAX_CLASS_WIDTH))) != built_width:
            return _build_shapes(name, num_classes, width)
    rows = family.class_rows(reference.head_layer, reference.tensors)
    changed = {key: (num_classes, *reference.tensors[key][1:]) for key in rows}
    return replace(reference, tensors=reference.tensors | changed)


def _reference_shapes(name: str) -> ModelShapes:
    """Tensor shapes with 80 classes, from the cache of an earlier process where there is one: no torch is loaded."""
    version = importlib.metadata.version("ultralytics")
    file = subfolder("cache") / f"shapes-{version}-{architecture(name).name}.json"
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return ModelShapes(
            tensors={key: tuple(map(int, shape)) for key, shape in told["tensors"].items()},
            parameters=frozenset(told["parameters"]),
            modules=tuple(told["modules"]),
            num_backbone_layers=architecture(name).num_backbone_layers,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        built = _build_shapes(name, REFERENCE_CLASSES, None)
    told = {"tensors": built.tensors, "parameters": sorted(built.parameters), "modules": built.modules}
    with suppress(StorageError):  # a full disk costs a second the next time, nothing else
        write_json(file, told)
    return built


def _build_shapes(name: str, num_classes: int, class_width: int | None) -> ModelShapes:
    layers = bare_layers(name, num_classes, class_width)
    return model_shapes(layers, architecture(name).num_backbone_layers)


def bare_layers(name: str, num_classes: int, class_width: int | None = None) -> Any:
    """The layers of an architecture on PyTorch's meta device: shapes without numbers."""
    config = _config(name, num_classes)
    import torch
    from ultralytics.nn.tasks import parse_model

    with PARSING, torch.device("meta"), _arange_on_cpu():
        layers, _ = parse_model(config, ch=3, verbose=False)
        if class_width is not None:
            architecture(name).kind.set_class_width(layers[-1], class_width)
    return layers


def model_shapes(layers: Any, num_backbone_layers: int) -> ModelShapes:
    """The tensor shapes of the layers (`model.model`) of a real model."""
    return ModelShapes(
        tensors={f"model.{key}": tuple(tensor.shape) for key, tensor in layers.state_dict().items()},
        parameters=frozenset(f"model.{key}" for key, _ in layers.named_parameters()),
        modules=tuple(type(layer).__name__ for layer in layers),
        num_backbone_layers=num_backbone_layers,
    )


def _config(name: str, num_classes: int) -> dict[str, Any]:
    _check_num_classes(num_classes)
    config = architecture(name).config(num_classes)
    prepare_ultralytics()
    return config


def _check_num_classes(num_classes: int) -> None:
    if not 1 <= num_classes <= MAX_CLASSES:
        raise UsageError(
            f"The number of classes is {num_classes}.", remedy=f"It must be between 1 and {MAX_CLASSES}."
        )


@contextmanager
def _arange_on_cpu() -> Iterator[TorchFunctionMode]:
    # On the meta device `arange` is a decomposition whose first call imports the compiler: 1.4 s.
    import torch
    from torch.overrides import TorchFunctionMode

    class ArangeOnCpu(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if func is torch.arange:
                kwargs.setdefault("device", "cpu")
            return func(*args, **kwargs)

    with ArangeOnCpu() as mode:
        yield mode
