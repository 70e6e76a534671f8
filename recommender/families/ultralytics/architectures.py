"""The architectures ultralytics ships for our tasks, by name. Nothing here imports ultralytics.

Only YAMLs of the installed package are ever read, never one out of a user's file.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recommender.errors import UnavailableError, UsageError
from recommender.families.row import ModelFamily
from recommender.families.ultralytics.table import FAMILIES, family_of_head
from recommender.starts import DEPTHS_OF_MODE, FreezeDepth, Mode
from recommender.tasks import Task
from recommender.text import printable

_STEM = re.compile(r"(yolov?\d+|rtdetr)(.*)")
_SIZED = re.compile(r"(yolov?\d+)([a-z])(.*)")
_OTHER_TASK = re.compile(r"(yolov?\d+[a-z]?)(?:-seg|-cls)?(.*)")
_TASK_SUFFIX: dict[Task, str] = {"detect": "", "segment": "-seg", "classify": "-cls"}
_STEM_LAYERS = frozenset({"Conv", "nn.Identity", "Silence"})
_STEM_WHOLE = frozenset({"HGStem", "ResNetLayer"})
_STEM_CONVOLUTIONS = 2  # each halves the side
Layer = Sequence[Any]  # [from, module, arguments] as in a model's YAML


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One architecture in one size."""

    name: str  # "yolo11n"
    family: str  # "yolo11", of other tasks than detection "yolo11-seg"
    kind: ModelFamily
    scale: str | None  # "n"; None where the family has one size
    file: Path
    num_backbone_layers: int  # of the top level, which is what `freeze=` of ultralytics counts
    num_layers: int
    activation: str | None  # as the YAML names it; None is the default

    def config(self, num_classes: int) -> dict[str, Any]:
        """A fresh model configuration for ultralytics."""
        content = copy.deepcopy(_read(self.file))
        return content | {"nc": num_classes, "scale": self.scale, "yaml_file": f"{self.name}.yaml"}

    def layers(self) -> list[Layer]:
        """Every layer of backbone and head."""
        content = _read(self.file)
        return [(row[0], row[2], row[3]) for part in ("backbone", "head") for row in content[part]]


@functools.cache
def architectures() -> dict[str, Architecture]:
    """Every shipped architecture of our tasks by name, in a stable order."""
    return {entry.name: entry for file in _files() for entry in _entries(file)}


@functools.cache
def _files() -> tuple[Path, ...]:
    """The YAMLs of every family of ours, in a stable order."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError("ultralytics is not installed.", remedy="pip install ultralytics")
    folder = Path(spec.submodule_search_locations[0]) / "cfg" / "models"
    return tuple(
        sorted({file for kind in FAMILIES for pattern in kind.files for file in folder.rglob(pattern)})
    )


@functools.cache
def _shipped(name: str) -> Architecture | None:
    """The architecture of this name. Only files that may hold it are read: all take a quarter of a second."""
    sized = _SIZED.fullmatch(name)
    stems = {name} if sized is None else {name, sized.group(1) + sized.group(3)}
    found = {entry.name: entry for file in _files() if file.stem in stems for entry in _entries(file)}
    return found.get(name)


def architecture(name: str) -> Architecture:
    """One architecture by name.

    Raises:
        UsageError: it is not one ultralytics ships for a task of ours.
    """
    found = _shipped(name)
    if found is not None:
        return found
    known = architectures()
    if name not in known:
        raise UsageError(
            f"The architecture '{printable(name)}' is not a shipped architecture.",
            remedy=f"Use one of: {', '.join(sorted(known))}.",
        )
    return known[name]


def frozen_layers(name: str, mode: Mode, depth: FreezeDepth | None = None) -> int:
    """The number of top-level layers that are frozen, as `freeze=` of ultralytics counts them; 0 for none.

    `depth` None is the mode's own. The stem is the convolutions before the first block, down to a quarter of the
    image's side; the neck is all but the head. Raises UsageError for an architecture without a neck.
    """
    known = architecture(name)
    depth = depth or DEPTHS_OF_MODE[mode][0]
    if depth == "none":
        return 0
    if depth == "stem":
        return _stem_length(known)
    if depth == "backbone":
        return known.num_backbone_layers
    if known.num_layers - 1 == known.num_backbone_layers:
        raise UsageError(
            f"{name} has no neck to freeze.", remedy="Freeze the backbone: it is all but the head."
        )
    return known.num_layers - 1


def freeze_depths(name: str, mode: Mode) -> tuple[FreezeDepth, ...]:
    """The depths at which an architecture can be frozen in a mode, the mode's own first."""
    known = architecture(name)
    no_neck = known.num_layers - 1 == known.num_backbone_layers
    return tuple(depth for depth in DEPTHS_OF_MODE[mode] if not (depth == "neck" and no_neck))


def _stem_length(known: Architecture) -> int:
    """Layers before the first block: convolutions, or one layer of a ResNet or HGNet that is a stem as a whole."""
    convolutions = 0
    for i, (_, module, _) in enumerate(known.layers()):
        if module in _STEM_WHOLE:
            return i + 1
        if module not in _STEM_LAYERS or convolutions == _STEM_CONVOLUTIONS:
            return i
        convolutions += module == "Conv"
    return 0


def of_task(name: str, task: Task) -> str | None:
    """The network with a task's head: "yolo11n" is "yolo11n-seg" for segmentation; None if none is shipped."""
    sized = _OTHER_TASK.fullmatch(name)
    if architecture(name).kind.task == task:
        return name
    if sized is None:
        return None
    other = f"{sized.group(1)}{_TASK_SUFFIX[task]}{sized.group(2)}"
    return None if _shipped(other) is None else other


def learning_rate_factor(name: str) -> float:
    """The factor on the recipe's default rates for this architecture; 1 where it is not shipped."""
    known = _shipped(name)
    return 1.0 if known is None else known.kind.learning_rate_factor


def mixed_precision(name: str) -> bool:
    """True if this architecture trains in mixed precision on a GPU, as one that is not shipped is taken to."""
    known = _shipped(name)
    return known is None or known.kind.mixed_precision


def _entries(file: Path) -> list[Architecture]:
    stem = _STEM.fullmatch(file.stem)
    content = _read(file)
    kind = family_of_head(content["head"][-1][2])
    if stem is None or kind is None or not any(file.match(pattern) for pattern in kind.files):
        return []
    base, suffix = stem.groups()
    scales = [str(scale) for scale in content.get("scales") or ()]
    named: list[tuple[str, str, str | None]]  # name, family, scale
    if base == "rtdetr":  # one size a file: rtdetr-l.yaml, rtdetr-resnet50.yaml
        named = [(file.stem, base, scales[0])]
    elif suffix in scales:  # one file per size: yolov10n.yaml
        named = [(file.stem, base, suffix)]
    elif not scales:  # yolov9t.yaml, yolov3-tiny.yaml
        named = [(file.stem, file.stem if suffix.startswith("-") else base, None)]
    else:
        named = [(f"{base}{scale}{suffix}", f"{base}{suffix}", scale) for scale in scales]
    num_backbone = len(content["backbone"])
    return [
        Architecture(
            name=name,
            family=family,
            kind=kind,
            scale=scale,
            file=file,
            num_backbone_layers=num_backbone,
            num_layers=num_backbone + len(content["head"]),
            activation=content.get("activation"),
        )
        for name, family, scale in named
    ]


@functools.cache
def _read(file: Path) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506
    return content
