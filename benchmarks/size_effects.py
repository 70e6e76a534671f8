"""Learn what image size, model size and family do from published tables: `python -m benchmarks.size_effects`.

Prints how the fit does on targets it has not seen, and with `--write` stores its parameters with their provenance for
`recommender/forecast/size_effects.py`. Tables: tests/forecast/tables (YOLOBench, RF100-VL by Roboflow, a party).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import kendalltau

from recommender.checkpoints import catalogue
from recommender.forecast.situation import from_scale, to_scale
from recommender.forecast.size_effects import PARAMETERS, capacity_slope, side_gain
from recommender.profile.shipped import builtin_profiles

TABLES = Path(__file__).parents[1] / "tests" / "forecast" / "tables"
PROVENANCE = {
    "image size, slope of capacity": "YOLOBench: Deeplite/deeplite-torch-zoo @ e4c8ea6, results/yolobench, 572 "
    "fine-tunings of 52 models at 11 image sizes on VOC, SKU-110K and WIDER FACE, and their COCO scores",
    "slope of capacity at a thousand images, transfer": "RF100-VL means of 26 models: roboflow/rf-detr @ 35ac6ab, "
    "docs/learn/benchmarks.md; by Roboflow, a party",
    "capacity": "published COCO mAP50-95 of the catalogue; from the operations where none is published",
}
LIMITS_MS = (20.0, 50.0, 100.0, 200.0, 400.0)  # on a Raspberry Pi 5
# Standard deviations: around RF100-VL's line, and of what a model's own share of it is.
RESIDUAL, MEANT = 0.013, 0.010

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A data set of the tables. `side` is the median object's at one pixel of image size."""

    name: str
    side: float
    num_classes: float
    num_images: float


def _side(name: str) -> float:
    """Of a shipped sample of the data set."""
    profile = next(one for one in builtin_profiles().values() if one.dataset_name == name)
    longer, shorter = sorted((profile.median_width, profile.median_height), reverse=True)
    return profile.box_sizes_Q[2] * math.sqrt(shorter / longer)


def targets() -> tuple[Target, ...]:
    """Sides of WIDER FACE and COCO are measured on our samples; those of VOC and SKU-110K follow from their papers.

    147 objects that cover about half of the picture have .055 of its side; VOC's 2.4 objects an image are about .28.
    """
    return (
        Target(name="voc", side=0.28 * 0.87, num_classes=20, num_images=16_551),
        Target(name="sku", side=0.055 * 0.87, num_classes=1, num_images=8_219),
        Target(name="wider", side=_side("wider_face"), num_classes=1, num_images=12_880),
        Target(name="coco", side=_side("coco_mini"), num_classes=80, num_images=118_287),
    )


RF100_VL_MEAN = Target(name="RF100-VL", side=math.nan, num_classes=5.6, num_images=1_150)


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """M models × S image sizes of YOLOBench: results on the model's scale by target, latency on a Raspberry Pi 5."""

    models: tuple[str, ...]
    sizes: tuple[int, ...]
    results: dict[str, NDArray[np.float64]]  # M × S
    latency_ms: NDArray[np.float64]  # M × S


def read_grid() -> Grid:
    """The table of YOLOBench."""
    with (TABLES / "yolobench.csv").open(encoding="utf-8", newline="") as file:
        rows = {tuple(row["model_name"].rsplit("_", 1)): row for row in csv.DictReader(file)}
    models = tuple(sorted({model for model, _ in rows}))
    sizes = tuple(sorted({int(size) for _, size in rows}))

    def table(column: str) -> NDArray[np.float64]:
        return np.array([[float(rows[model, str(size)][column]) for size in sizes] for model in models])

    scale = np.vectorize(to_scale)
    return Grid(
        models=models,
        sizes=sizes,
        results={one.name: scale(table(f"mAP_0.5:0.95_{one.name}")) for one in targets()},
        latency_ms=table("pi5_ort_latency"),
    )


def fit_sides(grid: Grid, known: Sequence[Target]) -> dict[str, float]:
    """The three numbers of `side_gain`, from the mean over models at each image size."""
    sizes = np.array(grid.sizes, dtype=np.float64)

    def misses(values: Vector) -> Vector:
        found = []
        for one in known:
            level = grid.results[one.name].mean(axis=0)
            left = level - np.array([side_gain(s, s * one.side, tuple(values)) for s in sizes])
            found.append(left - left.mean())
        return np.concatenate(found)

    objects, half, size = least_squares(misses, [0.4, 10.0, 0.2]).x
    return {"objects": round(objects, 4), "half_side": round(half, 3), "size": round(size, 4)}


def slopes(grid: Grid) -> dict[str, float]:
    """The share of a difference in capacity that each target shows: slope against the COCO score, both centred."""
    capacity_M = _capacity(grid)
    found = {}
    for one in targets():
        result = grid.results[one.name] - grid.results[one.name].mean(axis=0)
        found[one.name] = float(
            (capacity_M[:, None] * result).sum() / (capacity_M**2).sum() / len(grid.sizes)
        )
    return found | {RF100_VL_MEAN.name: _within_families()}


def fit_slope(known: dict[str, float]) -> dict[str, float]:
    """Of `capacity_slope`, from the slopes of these targets."""
    by_name = {one.name: one for one in (*targets(), RF100_VL_MEAN)}
    rows = np.array([_slope_row(by_name[name]) for name in known])
    # Pulled a little towards no effect of classes and images: there are five targets for three numbers.
    ridge = 0.1 * np.diag([0.0, 1.0, 1.0])
    values = np.linalg.solve(rows.T @ rows + ridge, rows.T @ np.array(list(known.values())))
    return dict(zip(("constant", "classes", "images"), (round(float(v), 4) for v in values), strict=True))


def _slope_row(one: Target) -> list[float]:
    return [1.0, math.log10(one.num_classes), math.log10(one.num_images / 10_000)]


def _capacity(grid: Grid) -> Vector:
    values: Vector = grid.results["coco"].mean(axis=1)
    centred: Vector = values - values.mean()
    return centred


def _rf100_vl() -> list[tuple[str, str, float, float]]:
    """Model, family, COCO and RF100-VL score on the model's scale."""
    with (TABLES / "rf100vl.csv").open(encoding="utf-8", newline="") as file:
        return [
            (
                row["model"],
                row["model"].rsplit("-", 1)[0],
                to_scale(float(row["coco_ap"]) / 100),
                to_scale(float(row["rf100vl_ap"]) / 100),
            )
            for row in csv.DictReader(file)
        ]


def _within_families() -> float:
    """Slope of the RF100-VL mean against the COCO score, among models of one family."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for _, family, coco, mean in _rf100_vl():
        groups.setdefault(family, []).append((coco, mean))
    centred = np.concatenate([np.array(g) - np.mean(g, axis=0) for g in groups.values()])
    return float((centred[:, 0] * centred[:, 1]).sum() / (centred[:, 0] ** 2).sum())


def transfer() -> dict[str, float]:
    """Scores of ultralytics' models on RF100-VL beyond the line through all 26, shrunk for chance, against YOLO11n."""
    rows = _rf100_vl()
    slope = _within_families()
    left = {name: mean - slope * coco for name, _, coco, mean in rows}
    middle = float(np.mean(list(left.values())))
    shrunk = {name: (value - middle) * MEANT**2 / (MEANT**2 + RESIDUAL**2) for name, value in left.items()}
    base = shrunk["YOLO11-N"]
    return {
        f"{name.split('-')[0].lower()}{name.split('-')[1].lower()}": round(value - base, 4)
        for name, value in shrunk.items()
        if name.startswith("YOLO")
    }


def capacities() -> tuple[dict[str, dict[str, float | str]], dict[str, float]]:
    """COCO mAP50-95 by architecture, and the line through them against the decades of operations."""
    entries = [entry for entry in catalogue() if entry.flops_b and entry.task == "detect"]
    cards: dict[str, float] = {}
    for entry in entries:
        if entry.source_name == "COCO" and entry.source_score:
            cards[entry.architecture] = entry.source_score
    flops = {entry.architecture: float(entry.flops_b or 0) for entry in entries}
    names = [name for name in cards if not name.startswith("rtdetr")]
    x = [math.log10(flops[name]) for name in names]
    slope, constant = np.polyfit(x, [to_scale(cards[name]) for name in names], 1)
    families = {entry.architecture: entry.family for entry in entries}
    above: dict[str, list[float]] = {}  # of a family, against the line
    for name in names:
        left = to_scale(cards[name]) - constant - slope * math.log10(flops[name])
        above.setdefault(families[name], []).append(left)
    lowest = min(
        float(np.mean(values)) for values in above.values()
    )  # of families as old as those without a card
    found: dict[str, dict[str, float | str]] = {}
    for name in sorted(flops):
        if name in cards:
            found[name] = {"map50_95": cards[name], "from": "card"}
            continue
        offset = float(np.mean(above.get(families[name], [lowest])))
        guess = from_scale(np.array([constant + offset + slope * math.log10(flops[name])]))[0]
        found[name] = {"map50_95": round(float(guess), 3), "from": "operations"}
    return found, {"constant": round(float(constant), 4), "decade": round(float(slope), 4)}


def parameters(grid: Grid) -> dict[str, Any]:
    """Everything `--write` stores."""
    architectures, line = capacities()
    return {
        "provenance": PROVENANCE,
        "image_size": fit_sides(grid, targets()),
        "capacity_slope": fit_slope(slopes(grid)),
        "capacity_of_operations": line,
        "architectures": architectures,
        "transfer": transfer(),
    }


# ── how well it does on what it has not seen ─────────────────────────────────


def unseen_target(grid: Grid, hidden: Target) -> dict[str, float]:
    """Forecast the whole grid on one target from the others; beside it, what people go by."""
    known = [one for one in targets() if one.name != hidden.name]
    side = tuple(fit_sides(grid, known).values())
    fitted = fit_slope({name: value for name, value in slopes(grid).items() if name != hidden.name})
    slope = capacity_slope(hidden.num_classes, hidden.num_images, fitted)
    gain_S = np.array([side_gain(s, s * hidden.side, side) for s in grid.sizes])
    forecast = slope * _capacity(grid)[:, None] + gain_S[None, :]
    truth = grid.results[hidden.name]
    missed = (truth - truth.mean()) - (forecast - forecast.mean())
    return {
        "slope, true": slopes(grid)[hidden.name],
        "slope, forecast": slope,
        "error (sd)": float(missed.std()),
        "spread (sd)": float(truth.std()),
        "τ forecast": _tau(forecast, truth),
        "τ COCO mAP at that size": _tau(grid.results["coco"], truth),
        "τ image size": _tau(np.broadcast_to(np.array(grid.sizes, dtype=float), truth.shape), truth),
        "lost, forecast": _lost(forecast, truth, grid),
        "lost, COCO mAP at that size": _lost(grid.results["coco"], truth, grid),
        "lost, largest image size": _lost(
            np.array(grid.sizes, dtype=float)[None, :] + 1e-3 * _capacity(grid)[:, None], truth, grid
        ),
        "lost, largest model": _lost(
            1e3 * _capacity(grid)[:, None] + np.array(grid.sizes, dtype=float)[None, :], truth, grid
        ),
    }


def _tau(forecast: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float(kendalltau(forecast.ravel(), truth.ravel()).statistic)


def _lost(forecast: NDArray[np.float64], truth: NDArray[np.float64], grid: Grid) -> float:
    """Mean mAP50-95 lost against the best within each limit of latency."""
    losses = []
    for limit in LIMITS_MS:
        fits = grid.latency_ms <= limit
        chosen = np.where(fits, forecast, -np.inf).argmax()
        best = np.where(fits, truth, -np.inf).max()
        losses.append(from_scale(np.array([best]))[0] - from_scale(truth.ravel()[[chosen]])[0])
    return float(np.mean(losses))


def rf100_vl_unseen(grid: Grid) -> dict[str, float]:
    """RF100-VL's means of 26 models from YOLO11n's, by the slope that YOLOBench and COCO alone teach: error in mAP."""
    known = {name: value for name, value in slopes(grid).items() if name != RF100_VL_MEAN.name}
    slope = capacity_slope(RF100_VL_MEAN.num_classes, RF100_VL_MEAN.num_images, fit_slope(known))
    rows = _rf100_vl()
    base = next(row for row in rows if row[0] == "YOLO11-N")
    truth = from_scale(np.array([row[3] for row in rows]))

    def error(slope: float) -> float:
        guess = from_scale(np.array([base[3] + slope * (row[2] - base[2]) for row in rows]))
        return float(np.sqrt(np.mean((guess - truth) ** 2)))

    return {
        "slope, forecast": slope,
        "slope, true": _within_families(),
        "error of the forecast (mAP)": error(slope),
        "error of 'size does not matter'": error(0.0),
        "error of 'as on COCO'": error(1.0),
    }


def main() -> None:
    """Print the report; `--write` stores the parameters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"store the parameters in {PARAMETERS}")
    write = parser.parse_args().write
    grid = read_grid()
    found = {one.name: unseen_target(grid, one) for one in targets() if one.name != "coco"}
    for what in next(iter(found.values())):
        print(f"{what:<30}", "  ".join(f"{name} {row[what]:+.3f}" for name, row in found.items()))
    print("RF100-VL, unseen:", ", ".join(f"{k} {v:.3f}" for k, v in rf100_vl_unseen(grid).items()))
    if write:
        PARAMETERS.write_text(json.dumps(parameters(grid), indent=1) + "\n", encoding="utf-8")
        print(f"wrote {PARAMETERS}")


if __name__ == "__main__":
    main()
