"""Latency and memory of an architecture on a device: measured where a table holds it, else estimated from the nearest.

`devices.json` is made by `benchmarks/build_devices.py` from published measurements, of classifiers at 224 px and of all
others at 640; `this` is what `recommend calibrate` measured on this machine.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recommender.errors import UsageError
from recommender.home import subfolder
from recommender.tasks import TASKS, Task

FILE = Path(__file__).parent / "devices.json"
TABLE_SIZE = 640  # pixels, of every measurement that says no other
THIS = "this"  # the machine that `recommend calibrate` ran on
MEMORY = r"\b(\d+) ?gi?b?\b"  # in a name of words and numbers
BESIDE = r"\b(nvidia|geforce|tesla|amd|instinct|tensor|core|gpu|generation|sxm\d?|pcie|hbm\d?e?|oam|nvl)\b"
CPU_PER_PIXEL, GPU_PER_PIXEL = 1.0, 0.6  # exponents of latency in the pixels, of a calibrated machine


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One architecture on one device, for one image of `imgsz` × `imgsz` pixels."""

    latency_ms: float
    memory_mb: float | None
    flops_b: float  # 10^9, for one image of 640 × 640 pixels
    runtime: str
    imgsz: int = TABLE_SIZE


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device with its measurements by architecture."""

    name: str
    title: str
    source: str
    per_operation: float  # exponent of latency in the operations, among its models
    per_pixel: float  # exponent of latency in the pixels of the image
    models: Mapping[str, Measured]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The measurements of this machine by `recommend calibrate`."""

    device: Device
    # Seconds of a training step for 10^9 operations of the forward pass; None on a GPU, where a short step shows how
    # long it waits for the processor and not how fast it is.
    gflop_s: float | None
    gpu: str | None = None  # as its driver names it; None for a processor

    def document(self) -> dict[str, object]:
        """The JSON form, as it is kept and printed: the device as `devices.json` has it, and the other fields."""
        facts = asdict(self.device)
        del facts["name"]
        return {**facts, "gflop_s": self.gflop_s, "gpu": self.gpu}


@dataclass(frozen=True, kw_only=True)
class Latency:
    """The latency of one image. `basis` says how it is known."""

    ms: float
    memory_mb: float | None
    basis: str  # "measured", "estimated from yolo11n at 640 px"


def devices() -> tuple[Device, ...]:
    """Every device there are measurements of, by name; this machine's own last, where it was calibrated."""
    known = [_device(name, facts) for name, facts in sorted(_shipped().items())]
    own = calibration()
    return (*known, *([own.device] if own else []))


def device(name: str) -> Device:
    """The device of that name. Raises UsageError for one that nobody measured."""
    found = {one.name: one for one in devices()}
    wanted = known_name(name, (*found, THIS))
    if wanted in found:
        return found[wanted]
    if wanted == THIS:
        raise UsageError(
            "This machine has not been measured.", remedy="Run `recommend calibrate`: it takes seconds."
        )
    raise UsageError(
        f"There are no measurements of a device {name!r}.",
        remedy=f"Choose {', '.join(found)}; `recommend devices` shows them, `recommend calibrate` adds this machine.",
    )


def known_name(name: str, known: Iterable[str]) -> str | None:
    """The known device that a name means: of "NVIDIA GeForce RTX 5070 Ti" it is "rtx-5070ti"; None where none is.

    Of variants it is the one that shares most with the name: "h100-pcie" of "NVIDIA H100 PCIe", "h100" of "H100 SXM".
    """
    wanted, told = _essence(name).removeprefix("rtx"), _variant(name)
    same = (one for one in known if _essence(one).removeprefix("rtx") == wanted and _variant(one) <= told)
    return max(same, key=lambda one: len(_variant(one)), default=None)


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known devices whose names are spelled much like this one, the most alike first."""
    by_essence = {_essence(one): one for one in known}
    return [by_essence[one] for one in difflib.get_close_matches(_essence(name), by_essence)]


def memory_gb(name: str) -> int | None:
    """The memory that a name tells: 80 of "A100-SXM4-80GB"; None of "A100"."""
    said = re.search(MEMORY, _words(name))
    return int(said[1]) if said else None


def _essence(name: str) -> str:
    """The letters and numbers that tell a device from others, without its maker, slot and memory."""
    return re.sub(f"{MEMORY}|{BESIDE}| ", "", _words(name))


def _variant(name: str) -> set[str]:
    """The words that `_essence` leaves out, and the memory: {"nvidia", "pcie", "80 GB"}."""
    said = memory_gb(name)
    return {*re.findall(BESIDE, _words(name)), *([] if said is None else [f"{said} GB"])}


def _words(name: str) -> str:
    return re.sub("[^a-z0-9]+", " ", name.casefold())


def latency(on: Device, architecture: str, flops_b: float | None, imgsz: int) -> Latency | None:
    """The latency of one image of `imgsz` pixels; None where neither the architecture nor its operations are known.

    The nearest is one of the same task where the table holds any, else a detector.
    """
    nearest, model, ratio = architecture, on.models.get(architecture), 1.0
    if model is None:
        if not flops_b:
            return None
        same = {
            name: one for name, one in on.models.items() if measured_task(name) == measured_task(architecture)
        }
        among = same or on.models
        nearest = min(among, key=lambda one: abs(math.log(among[one].flops_b / flops_b)))
        model = among[nearest]
        ratio = (flops_b / model.flops_b) ** on.per_operation
    pixels = (imgsz / model.imgsz) ** 2
    known = nearest == architecture and imgsz == model.imgsz
    other = "" if measured_task(nearest) == measured_task(architecture) else ", a model of another task,"
    return Latency(
        ms=model.latency_ms * ratio * pixels**on.per_pixel,
        # Measured at that size: smaller images take no more, and how much larger ones take is not known.
        memory_mb=model.memory_mb if imgsz <= model.imgsz else None,
        basis="measured" if known else f"estimated from {nearest}{other} at {model.imgsz} px",
    )


def measured_task(architecture: str) -> Task:
    """The task of a measured architecture, by the suffix of its name."""
    suffixes = {task.architecture.partition("-")[2]: task.name for task in TASKS}
    return next((suffixes[part] for part in architecture.split("-")[1:] if part in suffixes), "detect")


def calibration() -> Calibration | None:
    """The result of `recommend calibrate`; None where it has not run or the file cannot be read."""
    try:
        facts = json.loads(calibration_file().read_text(encoding="utf-8"))
        own, gpu = _device(THIS, facts), facts.get("gpu")
        if "gpu" not in facts and own.per_pixel == GPU_PER_PIXEL:
            # Of an older version, which timed steps there.
            gpu = re.sub(r".*\((.*), \d+ threads\).*", r"\1", own.title)
        found = Calibration(device=own, gflop_s=None if gpu else facts.get("gflop_s"), gpu=gpu)
        return found if found.device.models else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def calibration_file() -> Path:
    """The file of this machine's own measurements, beside the store."""
    return subfolder("devices") / "this.json"


def _device(name: str, facts: dict[str, Any]) -> Device:
    return Device(
        name=name,
        title=facts["title"],
        source=facts["source"],
        per_operation=facts["per_operation"],
        per_pixel=facts["per_pixel"],
        models={model: Measured(**numbers) for model, numbers in facts["models"].items()},
    )


@functools.cache
def _shipped() -> dict[str, dict[str, Any]]:
    shipped: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["devices"]
    return shipped
