"""One network in two files: exported, saved anew, in half precision, without its optimiser or its class names.

Identity is the sha256 of the kept file, which all of these change. Numbers that differ by rounding alone tell that it
is the very same network; a single step of training moves them further.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from recommender.checkpoints.files import load_state, load_tensor, stored_shapes
from recommender.errors import RecommenderError
from recommender.records import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 2.0**-8  # of a number saved with 8 significant bits (bfloat16); half precision keeps 11
SMALLEST = 2.0**-24  # the steps between the smallest numbers of half precision


def same_network(
    state: Mapping[str, Tensor], architecture: str, known: Iterable[Checkpoint]
) -> Checkpoint | None:
    """The first of the known checkpoints here that is this network, number by number up to rounding; None without."""
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items() if tensor.is_floating_point()}
    first = next((key for key, shape in shapes.items() if len(shape) == 4), None)
    if first is None:
        return None
    for entry in known:
        if entry.architecture != architecture or entry.path is None:
            continue
        try:
            # One tensor tells nearly all others apart, and a fiftieth of the file is read for it.
            if stored_shapes(entry.path).get(first) != shapes[first]:
                continue
            if _same(state[first], load_tensor(entry.path, first)) and _all_same(state, load_state(entry)):
                return entry
        except RecommenderError:
            continue  # its file is damaged, which its own use will say
    return None


def _all_same(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """True if both have the same weights by name; counters, such as of the batches seen, may differ."""
    floats = [{key: one for key, one in each.items() if one.is_floating_point()} for each in (state, other)]
    return floats[0].keys() == floats[1].keys() and all(
        _same(one, floats[1][key]) for key, one in floats[0].items()
    )


def _same(one: Tensor, other: Tensor) -> bool:
    """True if two tensors of any precision have one shape and differ by rounding alone."""
    if one.shape != other.shape:
        return False
    one, other = one.float(), other.float()
    return bool(((one - other).abs() <= ROUNDING * one.abs().maximum(other.abs()) + SMALLEST).all())
