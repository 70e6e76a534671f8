"""The reports in docs/examples: `python -m benchmarks.example_reports` writes them anew from comparisons kept there.

`--train --shared ../shared` makes these comparisons first, as the commands of docs/examples/compare.md do (minutes of a
core for each); what RECOMMENDER_HOME knows is not trained again.
"""

from __future__ import annotations

import argparse
import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

from recommender.atomic_files import replacing
from recommender.comparison.comparison_input import ComparisonInput
from recommender.comparison.findings import findings_of
from recommender.report.comparison_files import HTML, JSON, RUNS, SUMMARY, report_texts
from recommender.requests import CompareRequest
from recommender.store import Store
from recommender.store.records_json import decode, encode

FOLDER = Path(__file__).parents[1] / "docs" / "examples"
INPUT = "comparison.json.gz"
SHOWN = (HTML, JSON, SUMMARY, RUNS)
EXAMPLES: dict[str, dict[str, Any]] = {
    "balloon": {
        "dataset": "seg/balloon",
        "starts": ("scratch", "coco-seg:freeze", "coco-seg:full"),
        "seeds": (0,),
        "epochs": 10,
        "imgsz": 160,
        "batch": 8,
    },
    "dogs_cats": {
        "dataset": "cls/dogs_cats",
        "starts": ("scratch", "imagenet:freeze", "imagenet"),
        "epochs": 20,
        "imgsz": 128,
    },
}


def main() -> None:
    """Train where asked to, then write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    options = parser.parse_args()
    for name, asked in EXAMPLES.items():
        if options.train:
            _train(name, asked, options.shared)
        for file, text in texts_of(name).items():
            with replacing(FOLDER / name / file) as part:
                part.write_text(text, encoding="utf-8")


def texts_of(name: str) -> dict[str, str]:
    """The files of an example that are shown, by their names, from the comparison kept with it."""
    kept = gzip.decompress((FOLDER / name / INPUT).read_bytes())
    comparison = decode(ComparisonInput, kept.decode())
    texts = report_texts(comparison, findings_of(comparison), None)
    return {file: texts[file] for file in SHOWN}


def _train(name: str, asked: dict[str, Any], shared: Path) -> None:
    from tune_jobs.compare.run import compare

    request = CompareRequest.model_validate(asked | {"dataset": str(shared / asked["dataset"])})
    with Store() as store:
        comparison = compare(request, store=store).comparison
    starts = tuple(
        replace(one, checkpoint=one.checkpoint and replace(one.checkpoint, path=None))  # of this machine
        for one in comparison.compared_starts
    )
    with replacing(FOLDER / name / INPUT) as part:
        text = encode(replace(comparison, compared_starts=starts))
        part.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
