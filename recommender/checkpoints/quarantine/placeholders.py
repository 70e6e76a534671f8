"""Inert placeholders for the classes a checkpoint names, and the state dict collected from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from recommender.checkpoints.quarantine.foreign import foreign_pickle
from recommender.checkpoints.quarantine.refusal import RefusalError

if TYPE_CHECKING:
    from torch import Tensor

MAX_DEPTH = 40  # nesting of modules
MAX_MODULES = 50_000  # visited in a whole file; ultralytics' largest model has about 2,000
MAX_NESTING = 4  # dicts and wrappers around the weights
WEIGHT_KEYS = (
    *("ema", "model_ema", "ema_model", "model", "state_dict", "model_state_dict", "shadow"),
    *("weights", "net", "network", "module", "params"),
)
WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}

# What a detection checkpoint may name; the rest is refused, although a placeholder would not run it either.
PERMITTED = re.compile(
    r"(torch\.nn\.modules|ultralytics\.nn\.modules|ultralytics\.nn\.tasks|ultralytics\.yolo)(\.\w+)*\.(v\d+)?[A-Z]\w*"
    r"|ultralytics\.(yolo\.)?utils(\.(loss|tal|torch_utils))?\.(v\d+)?[A-Z]\w*"
    r"|ultralytics\.nn\.(distill_model|text_model)\.[A-Z]\w*"
    r"|torch\.nn\.parallel(\.\w+)*\.[A-Z]\w*|torch\._dynamo\.eval_frame\.OptimizedModule|torch\.nn\.utils\.prune\.[A-Z]\w*"
    r"|omegaconf(\.\w+)*\.[A-Z]\w*|typing\.Any|(builtins|__builtin__)\.(dict|list|tuple|int|float|str|bool|object)"
    r"|torchvision\.transforms(\.\w+)*\.[A-Z]\w*|torchvision\.transforms\.functional\._interpolation_modes_from_int"
    r"|pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path|numpy\.(_core|core)\.multiarray\.(scalar|_reconstruct)"
    r"|numpy\.(dtype|ndarray)|numpy\.dtypes\.\w+|(builtins|__builtin__)\.(getattr|frozenset|slice|range)"
    r"|collections\.defaultdict|types\.SimpleNamespace|argparse\.Namespace|datetime\.\w+|_codecs\.encode"
)


class Placeholder:
    """Takes the place of any class that a pickle names: keeps attributes, does nothing."""

    def __new__(cls, *_arguments: object, **_named: object) -> Placeholder:
        return object.__new__(cls)

    def __init__(self, *_arguments: object, **_named: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.__dict__.update({key: value for key, value in part.items() if isinstance(key, str)})

    def __setitem__(self, key: object, value: object) -> None:
        """A pickled defaultdict or array fills itself; its content is of no interest."""


def placeholders(names: list[str]) -> list[Any]:
    """An inert class for each global a checkpoint names; refuses names that no detector needs."""
    foreign = foreign_pickle(names)
    if foreign is not None:
        raise foreign
    for name in names:
        if not PERMITTED.fullmatch(name):
            raise RefusalError(
                f"Its pickle names {name!r}, which no detection checkpoint needs; nothing of it was run."
            )
    return [(type(name.rpartition(".")[2], (Placeholder,), {"__qualname__": name}), name) for name in names]


def find_weights(content: Any) -> tuple[dict[str, Tensor], Placeholder | None]:
    """The state dict in what was loaded, averaged weights first, and the model it came from where there is one."""
    found = _Search().weights(content, MAX_NESTING)
    if found is None:
        raise RefusalError("There are no weights in it: neither a model nor a state dict.")
    return found


class _Search:
    """Looks through what a file holds; a file whose parts are shared over and over is refused, not walked."""

    def __init__(self) -> None:
        self._modules_left = MAX_MODULES

    def weights(self, value: Any, nesting: int) -> tuple[dict[str, Tensor], Placeholder | None] | None:
        if isinstance(value, Placeholder):
            model = unwrapped(value)
            state = dict(self.collect(model))
            if state:
                return state, model
        inside = vars(value) if isinstance(value, Placeholder) else value
        if not isinstance(inside, dict):
            return None
        if nesting:
            for key in WEIGHT_KEYS:
                found = self.weights(inside.get(key), nesting - 1)
                if found is not None:
                    return found
        state = {key: tensor for key, tensor in inside.items() if is_tensor(tensor)}
        return (state, None) if state else None

    def collect(self, module: Placeholder, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
        """The entries of `module.state_dict()`, from the attributes alone."""
        self._modules_left -= 1
        if depth > MAX_DEPTH or self._modules_left < 0:
            raise RefusalError(
                f"Its modules are nested deeper than {MAX_DEPTH}, or are more than {MAX_MODULES:,}."
            )
        own = vars(module)
        passing = own.get("_non_persistent_buffers_set")
        for group in ("_parameters", "_buffers"):
            for name, value in entries(own.get(group)):
                if is_tensor(value) and not (isinstance(passing, set) and name in passing):
                    yield prefix + name, value
        for name, child in entries(own.get("_modules")):
            if isinstance(child, Placeholder):
                yield from self.collect(child, f"{prefix}{name}.", depth + 1)


def unwrapped(module: Placeholder) -> Placeholder:
    """The model inside wrappers of torch for several GPUs and for compiling."""
    for _ in range(MAX_NESTING):
        attribute = WRAPPERS.get(type(module).__name__)
        inner = dict(entries(vars(module).get("_modules"))).get(attribute or "")
        if not isinstance(inner, Placeholder):
            break
        module = inner
    return module


def entries(value: object) -> Iterator[tuple[str, Any]]:
    """Items of a dict with names for keys; nothing of anything else."""
    if isinstance(value, dict):
        yield from ((key, item) for key, item in value.items() if isinstance(key, str))


def is_tensor(value: object) -> bool:
    """True if it is a tensor; torch is loaded wherever there are any."""
    import torch

    return isinstance(value, torch.Tensor)
