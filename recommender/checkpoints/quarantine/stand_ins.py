"""Inert stand-ins for the classes a checkpoint names, and the state dict collected from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from recommender.checkpoints.quarantine.refusal import RefusalError

if TYPE_CHECKING:
    from torch import Tensor

MAX_DEPTH = 40  # nesting of modules

# What a detection checkpoint may name; the rest is refused, although a stand-in would not run it either.
PERMITTED = re.compile(
    r"(torch\.nn\.modules|ultralytics\.nn\.modules|ultralytics\.nn\.tasks|ultralytics\.yolo)(\.\w+)*\.[A-Z]\w*"
    r"|ultralytics\.(yolo\.)?utils(\.(loss|tal))?\.(v\d+)?[A-Z]\w*|ultralytics\.nn\.(distill_model|text_model)\.[A-Z]\w*"
    r"|torchvision\.transforms(\.\w+)*\.[A-Z]\w*|torchvision\.transforms\.functional\._interpolation_modes_from_int"
    r"|pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path|numpy\.(_core|core)\.multiarray\.(scalar|_reconstruct)"
    r"|numpy\.(dtype|ndarray)|numpy\.dtypes\.\w+|(builtins|__builtin__)\.(getattr|frozenset|slice|range)"
    r"|collections\.defaultdict|types\.SimpleNamespace|argparse\.Namespace|datetime\.\w+|_codecs\.encode"
)
YOLOV5_ORIGINAL = re.compile(r"models\.(yolo|common|experimental)\.\w+")


class StandIn:
    """Takes the place of any class that a pickle names: keeps attributes, does nothing."""

    def __new__(cls, *_arguments: object, **_named: object) -> StandIn:
        return object.__new__(cls)

    def __init__(self, *_arguments: object, **_named: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.__dict__.update({key: value for key, value in part.items() if isinstance(key, str)})

    def __setitem__(self, key: object, value: object) -> None:
        """A pickled defaultdict or array fills itself; its content is of no interest."""


def stand_ins(names: list[str]) -> list[Any]:
    """An inert class for each global a checkpoint names; refuses names that no detector needs."""
    for name in names:
        if YOLOV5_ORIGINAL.fullmatch(name):
            raise RefusalError(
                f"It is an original YOLOv5 pickle (it names {name}), which only runs inside that repository.",
                "There, where you trust it, save plain tensors and add that file: "
                "m = torch.load('best.pt', weights_only=False)['model']; "
                "torch.save({'state_dict': m.state_dict(), 'meta': {'names': m.names}}, 'best.state_dict.pt')",
            )
        if not PERMITTED.fullmatch(name):
            raise RefusalError(
                f"Its pickle names {name!r}, which no detection checkpoint needs; nothing of it was run."
            )
    return [(type(name.rpartition(".")[2], (StandIn,), {"__qualname__": name}), name) for name in names]


def find_weights(content: Any) -> tuple[dict[str, Tensor], StandIn | None]:
    """The state dict in what was loaded, and the model it came from where there is one."""
    inside = content if isinstance(content, dict) else {}
    keys = ("ema", "model", "state_dict", "model_state_dict", "weights", "net", "module")
    for found in (*(inside.get(key) for key in keys), content):
        if isinstance(found, StandIn):
            state = dict(harvest(found))
            if state:
                return state, found
        elif isinstance(found, dict):
            state = {key: value for key, value in found.items() if is_tensor(value)}
            if state:
                return state, None
    raise RefusalError("There are no weights in it: neither a model nor a state dict.")


def harvest(module: StandIn, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """What `module.state_dict()` would hold, from the attributes alone."""
    if depth > MAX_DEPTH:
        raise RefusalError(f"Its modules are nested deeper than {MAX_DEPTH}.")
    own = vars(module)
    passing = own.get("_non_persistent_buffers_set")
    for group in ("_parameters", "_buffers"):
        for name, value in entries(own.get(group)):
            if is_tensor(value) and not (isinstance(passing, set) and name in passing):
                yield prefix + name, value
    for name, child in entries(own.get("_modules")):
        if isinstance(child, StandIn):
            yield from harvest(child, f"{prefix}{name}.", depth + 1)


def entries(value: object) -> Iterator[tuple[str, Any]]:
    """Items of a dict with names for keys; nothing of anything else."""
    if isinstance(value, dict):
        yield from ((key, item) for key, item in value.items() if isinstance(key, str))


def is_tensor(value: object) -> bool:
    """Whether it is a tensor; torch is loaded wherever there are any."""
    import torch

    return isinstance(value, torch.Tensor)
