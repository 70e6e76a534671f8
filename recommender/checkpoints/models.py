"""Models from shipped architectures: real ones with random weights, or their tensors' shapes alone."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from recommender.checkpoints.architectures import architecture
from recommender.checkpoints.json_files import write_json
from recommender.errors import StorageError, UsageError
from recommender.home import subfolder
from recommender.ultralytics_safety import prepare_ultralytics

if TYPE_CHECKING:
    from torch import nn
    from torch.overrides import TorchFunctionMode

Part = Literal["backbone", "neck", "head"]
Shapes = dict[str, tuple[int, ...]]
MAX_CLASSES = 10_000  # more is a mistake, and the head would not fit memory
REFERENCE_CLASSES = 80
MAX_CLASS_WIDTH = 100  # ultralytics never makes a class branch wider for its classes' sake

# Ultralytics keeps the kind of a head and the default activation in class attributes while it parses.
_PARSING = threading.RLock()


@dataclass(frozen=True, kw_only=True)
class ModelShapes:
    """What a model is made of, without its numbers."""

    tensors: Shapes  # parameters and buffers, by state dict key
    parameters: frozenset[str]  # keys of the parameters among them
    modules: tuple[str, ...]  # class of each top-level layer
    num_backbone_layers: int

    @property
    def head_layer(self) -> int:
        """Index of the detection head."""
        return len(self.modules) - 1

    @property
    def num_parameters(self) -> int:
        """Parameters, without the running statistics."""
        return sum(math.prod(self.tensors[key]) for key in self.parameters)

    def part(self, layer: int) -> Part:
        """Where a top-level layer belongs; the head is the last layer alone."""
        if layer < self.num_backbone_layers:
            return "backbone"
        return "head" if layer == self.head_layer else "neck"


def build_model(name: str, num_classes: int, *, class_width: int | None = None) -> nn.Module:
    """A detection model with random weights from torch's generator, in training mode.

    Args:
        name: the architecture, such as "yolo11n".
        num_classes: rows of the class output.
        class_width: hidden channels of the head's class branch, which depends on the number of classes
            it was first built for; None takes what the architecture says. See `transfer`.

    Raises:
        UsageError: unknown architecture or impossible number of classes.
    """
    config = _config(name, num_classes)
    from ultralytics.nn.tasks import DetectionModel

    with _PARSING:
        model: nn.Module = DetectionModel(config, ch=3, nc=num_classes, verbose=False)
        if class_width is not None:
            set_class_width(model.model[-1], class_width)  # type: ignore[index]
    return model


@functools.lru_cache(maxsize=128)
def tensor_shapes(name: str, num_classes: int, class_width: int | None = None) -> ModelShapes:
    """Names and shapes of the tensors `build_model` would make, mostly without building anything."""
    _check_num_classes(num_classes)
    reference = _reference_shapes(name)
    narrowest = reference.tensors[f"model.{reference.head_layer}.cv2.0.0.conv.weight"][1]
    width = class_width if class_width is not None and narrowest <= class_width <= MAX_CLASS_WIDTH else None
    if (width or max(narrowest, min(num_classes, MAX_CLASS_WIDTH))) != class_width_of(
        reference.tensors, reference.head_layer
    ):
        return _build_shapes(name, num_classes, width)
    rows = class_row_keys(reference.head_layer, reference.tensors)
    changed = {key: (num_classes, *reference.tensors[key][1:]) for key in rows}
    return replace(reference, tensors=reference.tensors | changed)


def _reference_shapes(name: str) -> ModelShapes:
    """With 80 classes, from the cache of an earlier process where there is one: it spares loading torch."""
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
    config = _config(name, num_classes)
    import torch
    from ultralytics.nn.tasks import parse_model

    with _PARSING, torch.device("meta"), _arange_on_cpu():
        layers, _ = parse_model(config, ch=3, verbose=False)
        if class_width is not None:
            set_class_width(layers[-1], class_width)
    return model_shapes(layers, architecture(name).num_backbone_layers)


def model_shapes(layers: Any, num_backbone_layers: int) -> ModelShapes:
    """The same of the layers (`model.model`) of a real model."""
    return ModelShapes(
        tensors={f"model.{key}": tuple(tensor.shape) for key, tensor in layers.state_dict().items()},
        parameters=frozenset(f"model.{key}" for key, _ in layers.named_parameters()),
        modules=tuple(type(layer).__name__ for layer in layers),
        num_backbone_layers=num_backbone_layers,
    )


def class_row_keys(head_layer: int, shapes: Shapes) -> set[str]:
    """Keys of the tensors whose rows are classes: the last convolutions of the head's class branches."""
    head = f"model.{head_layer}."
    branches = (f"{head}cv3.", f"{head}one2one_cv3.")
    return {key for key in shapes if key.startswith(branches) and key.split(".")[4:5] == ["2"]}


def class_width_of(shapes: Shapes, head_layer: int) -> int | None:
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
    with _PARSING:
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
