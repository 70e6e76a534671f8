"""The distance of fine-tuned weights from those they began from: `python -m benchmarks.lineage_distance FILE …`.

Prints the relative distance of the early layers (`recommender.checkpoints.lineage.distance`) of every built-in
checkpoint, of each file named (an ultralytics .pt) and of random weights to each built-in checkpoint.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recommender.checkpoints import build_model, load_state, zoo
from recommender.checkpoints.lineage import MAX_DISTANCE, distance
from recommender.checkpoints.quarantine.__main__ import examine


def main(files: list[Path]) -> None:
    """One row for each set of weights, one column for each built-in checkpoint."""
    parents = {entry.name: load_state(entry) for entry in zoo()}
    rows: dict[str, Mapping[str, Any]] = dict(parents)
    with tempfile.TemporaryDirectory() as folder:
        rows |= {file.name: examine(file, Path(folder))[0] for file in files}
    rows |= {f"random {number}": build_model("yolo11n", 80).state_dict() for number in range(3)}
    print(f"{'':24}", *(name[:10].rjust(10) for name in parents))
    for name, state in rows.items():
        apart = [distance(state, parent) for parent in parents.values()]
        print(f"{name[:24]:24}", *(f"{'' if value is None else round(value, 3):>10}" for value in apart))
    print(f"below {MAX_DISTANCE} counts as descent")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
