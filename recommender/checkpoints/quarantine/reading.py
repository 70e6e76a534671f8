"""Tensors and facts out of a torch or safetensors file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recommender.checkpoints.quarantine.foreign import foreign_pickle
from recommender.checkpoints.quarantine.formats import check_archive
from recommender.checkpoints.quarantine.placeholders import PERMITTED, Placeholder, find_weights, placeholders
from recommender.checkpoints.quarantine.refusal import RESAVE, RefusalError

if TYPE_CHECKING:
    from torch import Tensor

PLAIN_ACTIVATION = re.compile(r"\s*(torch\.)?nn\.\w+\([\w\s=.,+-]*\)\s*")
MAX_LAYERS = 500  # of a model description
MAX_ARGUMENTS = 32
MAX_PATH_LENGTH = 4096
OTHER_MODELS = {"World": "YOLO-World", "YOLOE": "YOLOE", "NAS": "YOLO-NAS", "SAM": "SAM"}


def read_safetensors(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and, where the metadata tells them, class names."""
    import safetensors
    import safetensors.torch

    try:
        with safetensors.safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise RefusalError(
            f"The safetensors file is truncated or damaged ({error}).", "Copy it again."
        ) from None
    facts: dict[str, Any] = {"task": "detect"}
    for key in ("recommender", "class_names", "names"):
        try:
            told = json.loads(metadata.get(key, "null"))
        except (json.JSONDecodeError, RecursionError):
            continue
        ours = key == "recommender" and isinstance(told, dict)
        facts["class_names"] = told.get("class_names") if ours else told
        if facts["class_names"]:
            break
    return state, facts


def read_torch(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of what `torch.save` wrote, through placeholders."""
    import torch

    with file.open("rb") as stream:
        zipped = stream.read(2) == b"PK"
    needed: list[str] = []
    torch.serialization.clear_safe_globals()  # nothing that this process trusted before counts here
    try:
        if zipped:
            check_archive(file)
            needed = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        with torch.serialization.safe_globals(placeholders(needed)):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except RefusalError:
        raise
    except Exception as error:  # whatever a damaged pickle makes torch raise: KeyError, UnicodeDecodeError, …
        raise unreadable(error) from None
    state, model = find_weights(content)
    return state, facts_of(content if isinstance(content, dict) else {}, model)


def unreadable(error: Exception) -> RefusalError:
    """A refusal for whatever torch said."""
    # torch's own advice, to load it without restrictions, is none that we pass on.
    said = " ".join(str(error).split()).rpartition("WeightsUnpickler error: ")[2]
    text = said.partition(" Check the documentation of torch.load")[0]
    asked = re.search(r"GLOBAL ([\w.]+)", text)
    if asked is None:
        return RefusalError(
            f"It is truncated, damaged, or not weights ({type(error).__name__}: {text[:200]}).",
            f"Copy or download it again. {RESAVE}",
        )
    foreign = foreign_pickle([asked[1]])
    if foreign is not None:
        return foreign
    if PERMITTED.fullmatch(asked[1]):  # only archives can be searched for names beforehand
        return RefusalError("It is a model in the format of torch before 1.6, which is not read.")
    return RefusalError(
        f"Its pickle names {asked[1]!r}, which no detection checkpoint needs; nothing of it was run."
    )


# What a training validated last, by its task: segmenters tell the boxes' score too.
SCORES = ("metrics/mAP50-95(M)", "metrics/accuracy_top1", "metrics/mAP50-95(B)")


def facts_of(content: dict[Any, Any], model: Placeholder | None) -> dict[str, Any]:
    """The facts that a checkpoint states; each entry checked, absent when odd."""
    model_class = "" if model is None else type(model).__name__
    for mark, name in OTHER_MODELS.items():
        if mark in model_class:
            raise RefusalError(
                f"It is a {name} model, which cannot start a plain detector.",
                "Start from a plain detector instead, such as `recommend checkpoints fetch yolo11s`.",
            )
    own = {} if model is None else vars(model)
    meta, arguments, metrics = (settings(content.get(key)) for key in ("meta", "train_args", "train_metrics"))
    description = settings(own.get("yaml"))
    told = description.get("activation")
    if told is not None and not (isinstance(told, str) and PLAIN_ACTIVATION.fullmatch(told)):
        raise RefusalError(
            "The model description in it holds an activation that is an expression, not a layer."
        )
    imgsz, epochs = arguments.get("imgsz"), arguments.get("epochs")
    score = next((metrics[key] for key in SCORES if key in metrics), None)
    return {
        "task": model_class.removesuffix("Model").lower() or None,
        "activation": told,
        "layers": described_layers(description),
        "class_names": own.get("names") or meta.get("names") or content.get("names"),
        "imgsz": imgsz if type(imgsz) is int and 32 <= imgsz <= 8192 else None,
        "epochs": epochs if type(epochs) is int and 0 < epochs < 100_000 else None,
        "started_from": started_from(arguments),
        "score": score if type(score) is float and 0 <= score <= 1 else None,
    }


def started_from(arguments: dict[Any, Any]) -> str | None:
    """The file name of the weights or model description that its training began from, without folders."""
    told = arguments.get("pretrained")
    if not isinstance(told, str):
        told = arguments.get("model")
    if not isinstance(told, str) or not 0 < len(told) <= MAX_PATH_LENGTH or not told.isprintable():
        return None
    return re.split(r"[/\\\\]", told)[-1]


def settings(value: object) -> dict[Any, Any]:
    """The entries of a dict, a namespace, or omegaconf's tree (ultralytics 8.0.0); empty for anything else."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, Placeholder):
        return {}
    content = vars(value).get("_content")
    if not isinstance(content, dict):
        return vars(value)
    return {key: vars(node).get("_val") for key, node in content.items() if isinstance(node, Placeholder)}


def described_layers(description: dict[Any, Any]) -> list[list[Any]] | None:
    """The layers of a model description, [from, module, arguments] each; None where it is not of that form."""
    layers: list[list[Any]] = []
    for part in ("backbone", "head"):
        rows = description.get(part)
        if not isinstance(rows, list) or len(rows) > MAX_LAYERS:
            return None
        for row in rows:
            if not (isinstance(row, (list, tuple)) and len(row) == 4 and isinstance(row[2], str)):
                return None
            if not (_is_plain(row[0]) and isinstance(row[3], (list, tuple)) and all(map(_is_plain, row[3]))):
                return None
            layers.append([row[0], row[2][:80], list(row[3])])
    return layers


def _is_plain(value: object, depth: int = 2) -> bool:
    """A number, a short word, or a short list of such: nothing that grows when written out."""
    if isinstance(value, (list, tuple)):
        return depth > 0 and len(value) <= MAX_ARGUMENTS and all(_is_plain(item, depth - 1) for item in value)
    if isinstance(value, str):
        return len(value) <= 80
    return value is None or type(value) in (bool, int, float)
