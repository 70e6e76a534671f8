"""`recommend devices` and `recommend calibrate`: where trained models run, and how fast this machine is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommender.cli.console import out, print_json, progress_bars
from recommender.cli.options import AsJson
from recommender.tasks import task_definition
from recommender.text import counted

if TYPE_CHECKING:
    from recommender.costs.devices import Device
    from recommender.tasks import Task


def devices(as_json: AsJson = False) -> None:
    """List the devices with measured latencies of one image, and the GPUs whose training can be estimated."""
    from recommender.costs.devices import devices as known
    from recommender.costs.devices import measured_task
    from recommender.costs.gpus import BANDWIDTH_AND_MEMORY

    if as_json:
        rows = [
            {
                "device": one.name,
                "title": one.title,
                "source": one.source,
                "models": {name: m.latency_ms for name, m in one.models.items()},
                "measured": [
                    {
                        "architecture": name,
                        "task": measured_task(name),
                        "imgsz": m.imgsz,
                        "latency_ms": m.latency_ms,
                        "runtime": m.runtime,
                    }
                    for name, m in one.models.items()
                ],
            }
            for one in known()
        ]
        print_json({"devices": rows, "gpus": sorted(BANDWIDTH_AND_MEMORY)})
        return
    for one in known():
        out().print("\n".join(_lines(one)), soft_wrap=True)
    out().print(
        f"\nTraining (--gpu), estimated from published times on a V100: {', '.join(BANDWIDTH_AND_MEMORY)}",
        soft_wrap=True,
    )


def _lines(device: Device) -> list[str]:
    """A device with what is measured on it, one line a task and image size, and its source."""
    from recommender.costs.devices import measured_task

    groups: dict[tuple[Task, int], list[tuple[float, str]]] = {}
    for name, model in device.models.items():
        groups.setdefault((measured_task(name), model.imgsz), []).append((model.latency_ms, name))
    lines = [f"{device.name:<12} {device.title}"]
    for (task, imgsz), latencies in groups.items():
        (fastest_ms, fastest), (slowest_ms, slowest) = min(latencies), max(latencies)
        what = f"{task_definition(task).name_in_full} at {imgsz} px: {counted(len(latencies), 'model')}"
        lines.append(f"{'':<12} {what}, {fastest} {fastest_ms:g} ms to {slowest} {slowest_ms:g} ms")
    return [*lines, f"{'':<12} source: {device.source}"]


def calibrate(as_json: AsJson = False) -> None:
    """Measure latency and training speed of real architectures on this machine; `--device this` then uses them."""
    from recommender.costs.calibration import calibrate as measure
    from recommender.costs.calibration import calibrated_speed

    with progress_bars() as progress:
        found = measure(progress)
    if as_json:
        print_json(found.document())
        return
    out().print(found.device.title)
    for name, model in found.device.models.items():
        out().print(f"  {name:<10} {model.latency_ms:g} ms an image of 640 px")
    if found.gflop_s is not None:
        out().print(f"  training: {1000 * found.gflop_s:.3g} ms an image for 10⁹ operations")
    speed = calibrated_speed()
    if found.gpu is not None and speed is not None:
        out().print(f"  training: {speed.known_by}; once something trained here, by that")
