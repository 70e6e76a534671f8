"""The picture in docs/choosing.md, the demo's data set for a T4 at 5 ms: `python -m benchmarks.choosing_picture`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.demo import draw_data_set
from recommender import recommend
from recommender.report.cost_picture import cost_picture

OUT = Path("docs/choosing.svg")
BACKGROUND = '<rect width="100%" height="100%" fill="#ffffff"/>'  # a page has its own


def main() -> None:
    """Draw the data set, ask in a home of its own, and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RECOMMENDER_HOME"] = str(Path(folder) / "home")
        data = Path(folder) / "demo"
        draw_data_set(data, num_images=60)
        picture = cost_picture(recommend(data, device="t4", max_latency="5ms"))
    if picture is None:
        raise SystemExit("All starts cost the same: there is nothing to draw.")
    OUT.write_text(str(picture).replace("</title>", f"</title>{BACKGROUND}", 1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
