"""The description of a model family, and the differences of its training from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from recommender.tasks import Task

Shapes = dict[str, tuple[int, ...]]
NEVER = -1e4  # logit of a class that must not be predicted


def silence_rows(layers: Iterable[Any], classes: Sequence[int]) -> None:
    """Give these classes a logit that no other falls below in layers whose rows are classes."""
    import torch

    with torch.no_grad():
        for layer in layers:
            layer.weight[list(classes)] = 0.0
            layer.bias[list(classes)] = NEVER


@dataclass(frozen=True, kw_only=True)
class ModelFamily:
    """One kind of head. The functions take the index of the head layer and tensors' shapes by state dict key."""

    name: str  # "yolo"
    task: Task  # what its models are trained for
    heads: frozenset[str]  # class names of its heads, as the last layer of a model's YAML names them
    files: tuple[str, ...]  # patterns of the model descriptions that the library ships
    model_class: str  # in ultralytics.nn.tasks
    validator: tuple[str, str]  # module and class
    class_rows: Callable[[int, Shapes], set[str]]  # keys of the tensors whose rows are classes
    class_base: Callable[[str], str]  # of such a key: the prefix of the layers on whose outputs it works
    silence: Callable[[Any, Sequence[int]], None]  # make the head never predict these classes, in place
    # Hidden channels of a class branch that depend on its classes, and how to rebuild the branch, True if it changed.
    class_width: Callable[[int, Shapes], int | None] = lambda _layer, _shapes: None
    set_class_width: Callable[[Any, int], bool] = lambda _head, _width: False
    # Bring the loss of a model to where it stands after so many epochs; nothing for most.
    resume_loss: Callable[[Any, int], None] = lambda _model, _epochs: None
    mark: str = ""  # how the keys of tensors begin that this head has and a detection head lacks
    square_images: bool = False  # trained and validated on images stretched to a square, not letterboxed
    mixed_precision: bool = True  # False where half precision is known to give NaN
    learning_rate_factor: float = 1.0  # on the default rates of the recipe
