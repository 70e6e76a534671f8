"""Collect the latencies of real devices: `python -m benchmarks.build_devices` writes recommender/costs/devices.json.

Numbers only, from the tables in ../shared/external with their provenance. Each device is taken with its fastest runtime
that holds most models; a model that only another runtime holds keeps that runtime's number.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from recommender.checkpoints import catalogue
from recommender.costs.devices import FILE

EXTERNAL = Path(__file__).parents[2] / "shared" / "external"
LIBREYOLO = "LibreYOLO/vision-analysis @ 77d05aa, generated/verified-results.v1.json"
CARDS = "ultralytics/ultralytics @ 10d9c6d8 and 040502be, model cards"
YOLOBENCH = "YOLOBench: Deeplite/deeplite-torch-zoo @ e4c8ea6, results/yolobench"
# By name: what people call it, its name in the table, (format, precision, provider) in order of preference, and the
# column of YOLOBench that says how latency grows with the image (None: as it grows with the operations).
MEASURED: dict[str, tuple[str, str, tuple[tuple[str, str, str], ...], str | None]] = {
    "rpi5": (
        "Raspberry Pi 5, NCNN (RT-DETR: ONNX Runtime)",
        "rpi5",
        (("ncnn", "fp32", "cpu"), ("onnx", "fp32", "cpu")),
        "pi5_ort_latency",
    ),
    "rpi5-onnx": ("Raspberry Pi 5, ONNX Runtime", "rpi5", (("onnx", "fp32", "cpu"),), "pi5_ort_latency"),
    "jetson-orin": (
        "NVIDIA Jetson Orin, TensorRT FP16",
        "jetson_orin",
        (("tensorrt", "fp16", "cuda"),),
        "nano_gpu_latency",
    ),
    "rtx-5070ti": (
        "NVIDIA GeForce RTX 5070 Ti, TensorRT FP16",
        "nvidia_geforce_rtx_5070_ti",
        (("tensorrt", "fp16", "cuda"),),
        None,
    ),
    "a100": ("NVIDIA A100, PyTorch FP32", "a100", (("pytorch", "fp32", "cuda"),), None),
}
FROM_CARDS = {
    "t4": ("NVIDIA T4, TensorRT 10 FP16", "t4_trt10_ms", None),
    "cpu-onnx": ("a server's processor, ONNX Runtime", "cpu_onnx_ms", "pi5_ort_latency"),
}
LEAST_SLOPE = 0.3
TASKS = ("detect", "segment", "classify")
# Where the table has none: lyuwenyu/RT-DETR, README.md, the table of RT-DETR's models.
USUAL_FLOPS = {
    "rtdetr-r18": 60.0,
    "rtdetr-r34": 91.0,
    "rtdetr-r50": 136.0,
    "rtdetr-r50m": 100.0,
    "rtdetr-r101": 259.0,
}


def main() -> None:
    """Read, check, write."""
    flops = {entry.architecture: entry.flops_b for entry in catalogue() if entry.flops_b}
    devices = {name: _measured(name, flops) for name in MEASURED} | {
        name: _from_cards(name, flops) for name in FROM_CARDS
    }
    FILE.write_text(json.dumps({"devices": devices}, indent=1) + "\n", encoding="utf-8")
    for name, device in devices.items():
        print(
            f"{name:<12} {len(device['models']):>3} models, operations^{device['per_operation']:.2f}, "
            f"pixels^{device['per_pixel']:.2f}"
        )


def _measured(name: str, flops: dict[str, float]) -> dict[str, Any]:
    title, device, runtimes, column = MEASURED[name]
    models: dict[str, dict[str, float | str | None]] = {}
    for runtime in runtimes:
        for row in _rows(EXTERNAL / "device-latency" / "coco_accuracy_latency_by_device.csv"):
            if row["device"] != device or (row["format"], row["precision"], row["provider"]) != runtime:
                continue
            architecture = _architecture(row["model"])
            operations = flops.get(architecture) or USUAL_FLOPS.get(architecture)
            if architecture in models or operations is None or row["imgsz"] != "640":
                continue
            shared = device in ("rpi5", "jetson_orin")  # one memory for processor and GPU
            memory = row["peak_vram_mb"] if runtime[0] == "pytorch" else ""
            if shared:
                # Rows of other sources count only what a process grew by once it ran: 0 MB for YOLOv9c.
                memory = row["peak_ram_mb"] if row["source"] == "ultralytics" else ""
            models[architecture] = {
                "latency_ms": round(float(row["total_ms_p50"]), 1),
                "memory_mb": round(float(memory)) if memory else None,
                "flops_b": operations,
                "runtime": runtime[0],
            }
    return _device(title, LIBREYOLO, models, column, runtimes[0][0])


def _from_cards(name: str, flops: dict[str, float]) -> dict[str, Any]:
    title, latency, column = FROM_CARDS[name]
    models: dict[str, dict[str, float | str | None]] = {}
    for row in _rows(EXTERNAL / "ultralytics" / "model_cards.csv"):
        architecture = row["model"].lower()
        if row["task"] in TASKS and row[latency]:
            models[architecture] = {
                "latency_ms": float(row[latency]),
                "memory_mb": None,
                "flops_b": flops.get(architecture) or float(row["flops_b"]),
                "runtime": "onnx" if name == "cpu-onnx" else "tensorrt",
            } | ({} if row["imgsz"] == "640" else {"imgsz": int(row["imgsz"])})
    return _device(title, CARDS, models, column, "onnx" if name == "cpu-onnx" else "tensorrt")


def _device(
    title: str, source: str, models: dict[str, dict[str, Any]], column: str | None, runtime: str
) -> dict[str, Any]:
    main = [
        model
        for architecture, model in models.items()
        if model["runtime"] == runtime and not architecture.endswith(("-seg", "-cls"))
    ]  # detectors alone, whose number and sizes tell the slope best
    x = np.log([model["flops_b"] for model in main])
    slope = float(np.polyfit(x, np.log([model["latency_ms"] for model in main]), 1)[0])
    per_operation = max(LEAST_SLOPE, slope)  # where what surrounds the network takes most of the time
    return {
        "title": title,
        "source": source,
        "per_operation": round(per_operation, 3),
        "per_pixel": round(_per_pixel(column) if column else per_operation, 3),
        "per_pixel_source": YOLOBENCH if column else "as with the operations",
        "models": dict(sorted(models.items())),
    }


def _per_pixel(column: str) -> float:
    """Exponent of latency in the number of pixels, mean over YOLOBench's models from 320 px on."""
    by_model: dict[str, list[tuple[float, float]]] = {}
    for row in _rows(EXTERNAL / "yolobench" / "merged_results.csv"):
        model, size = row["model_name"].rsplit("_", 1)
        if int(size) >= 320:
            by_model.setdefault(model, []).append((2 * np.log(int(size)), np.log(float(row[column]))))
    slopes = []
    for points in by_model.values():
        x, y = np.array(points).T
        slopes.append(np.polyfit(x, y, 1)[0])
    return float(np.mean(slopes))


def _architecture(model: str) -> str:
    return model.removesuffix("u") if model.startswith("yolov5") else model


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


if __name__ == "__main__":
    main()
