"""Plain, finite, dense tensors under canonical names, whatever they were saved as."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recommender.checkpoints.quarantine.refusal import RefusalError

if TYPE_CHECKING:
    from torch import Tensor

MAX_ELEMENTS = 500_000_000  # five times the largest detector ultralytics ships
MAX_KEY_LENGTH = 300
MAX_CLASSES = 10_000
MAX_MAGNITUDE = 1e8  # beyond any trained weight: a flipped bit of an exponent
DRAWN_BELOW = 1.001  # of what torch draws a weight below, 1 / √inputs, and what half precision may add


def clean(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Canonical keys, plain dense tensors, finite numbers; fp16 stays, other floats become fp32."""
    import torch

    total = 0
    kept: dict[str, Tensor] = {}
    for key, tensor in canonical(without_masks(state)).items():
        total += math.prod(tensor.shape)
        if total > MAX_ELEMENTS:
            raise RefusalError(f"It holds more than {MAX_ELEMENTS:,} numbers.", "Add a detection checkpoint.")
        # Weights of 8 bits, or whole numbers: the scales that would make them weights again lie elsewhere.
        narrow = tensor.is_quantized or (key.endswith((".weight", ".bias")) and not _is_wide(tensor))
        if narrow or tensor.is_complex() or tensor.layout is not torch.strided or tensor.is_meta:
            raise RefusalError(
                f"The tensor {key!r} is quantised, complex, sparse or empty.", "Add the original weights."
            )
        plain = tensor.detach()
        if plain.is_floating_point() and plain.dtype is not torch.float16:
            plain = plain.float()
        if plain.is_floating_point():
            _check_numbers(key, plain)
        kept[key] = plain.clone(memory_format=torch.contiguous_format)
    if not any(value.is_floating_point() for value in kept.values()):
        raise RefusalError("There are no weights in it.")
    convolutions = [tensor for tensor in kept.values() if tensor.dim() == 4]
    if convolutions and not any(tensor.any() for tensor in convolutions):
        raise RefusalError("Every convolution in it is 0: it sees nothing.", "Copy or save it again.")
    _refuse_untrained(kept)
    return kept


def _is_wide(tensor: Tensor) -> bool:
    return tensor.is_complex() or (tensor.is_floating_point() and tensor.dtype.itemsize > 1)


def _refuse_untrained(state: dict[str, Tensor]) -> None:
    if never_trained(state):
        raise RefusalError(
            "Its batch norms and convolutions are as they were made at random: these weights were never trained.",
            "Add the file that the training wrote, best.pt; random weights are the start `scratch`.",
        )


def never_trained(state: Mapping[str, Tensor]) -> bool:
    """True where no batch norm has learnt and most convolutions keep to the bound within which torch draws them.

    One step of training moves batch norms, unless they are frozen, and trained convolutions leave the bound: of every
    built-in checkpoint each one does. Statistics say nothing: a look at one image moves them, frozen ones never move.
    """
    norms = [key.removesuffix("running_mean") for key in state if key.endswith(".running_mean")]
    learnt = any(
        f"{norm}{part}" in state and bool((state[f"{norm}{part}"] != value).any())
        for norm in norms
        for part, value in (("weight", 1.0), ("bias", 0.0))
    )
    if learnt or not norms:
        return False
    # Of the rest, attention and transformers begin otherwise, and a `dfl` counts from 0 to 15.
    drawn = [one for key, one in state.items() if one.dim() == 4 and one.numel() and ".dfl." not in key]
    inside = [
        one for one in drawn if float(one.abs().max()) * math.sqrt(math.prod(one.shape[1:])) < DRAWN_BELOW
    ]
    return 2 * len(inside) > len(drawn)


def _check_numbers(key: str, tensor: Tensor) -> None:
    if not tensor.isfinite().all():
        raise RefusalError(
            f"The tensor {key!r} holds NaN or infinite values: the training that made it failed.",
            "Add a checkpoint of an earlier epoch.",
        )
    if tensor.numel() and (
        tensor.abs().max() > MAX_MAGNITUDE or (key.endswith(".running_var") and tensor.min() < 0)
    ):
        raise RefusalError(
            f"The tensor {key!r} holds impossible values: the file is damaged.", "Copy it again."
        )


def without_masks(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weight_orig` times `weight_mask`, which `torch.nn.utils.prune` computes before each step, as plain weights."""
    plain = dict(state)
    for key, mask in state.items():
        name = key.removesuffix("_mask") if isinstance(key, str) else key
        original = state.get(f"{name}_orig")
        if name == key or original is None or original.shape != mask.shape:
            continue
        del plain[key], plain[f"{name}_orig"]
        plain[name] = original * mask.to(original.dtype)
    return plain


def canonical(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys as a DetectionModel has them, "model.0.conv.weight", without wrappers' prefixes."""
    split: dict[str, tuple[str, str]] = {}
    for key in state:
        if not isinstance(key, str) or len(key) > MAX_KEY_LENGTH or not key.isprintable():
            raise RefusalError("A tensor in it has no proper name.")
        match = re.fullmatch(r"((?:[A-Za-z_]\w*\.)*?)(\d+\..+)", key)
        split[key] = (match[1], match[2]) if match else ("", "")
    prefixes = Counter(prefix for prefix, rest in split.values() if rest)
    if not prefixes:
        return state
    chosen = prefixes.most_common(1)[0][0]
    return {f"model.{rest}": state[key] for key, (prefix, rest) in split.items() if rest and prefix == chosen}


def class_names(told: Any) -> list[str] | None:
    """Names in the order of the class rows; None when they are not a plain list of that form."""
    if isinstance(told, dict):
        if set(told) != set(range(len(told))):
            return None
        told = [told[index] for index in range(len(told))]
    if not isinstance(told, list) or not 0 < len(told) <= MAX_CLASSES:
        return None
    if not all(isinstance(name, str) and 0 < len(name) <= MAX_KEY_LENGTH for name in told):
        return None
    return [name.encode("utf-8", "replace").decode("utf-8") for name in told]
