"""The files of a report: one HTML page, the same as JSON, two CSV tables, and the predictions as COCO JSON."""

from __future__ import annotations

import re
from pathlib import Path

from recommender.atomic_files import replacing
from recommender.comparison.comparison_input import ComparisonInput
from recommender.comparison.findings import Findings
from recommender.errors import StorageError
from recommender.records import Dataset
from recommender.report.comparison import comparison_document
from recommender.report.comparison_coco import prediction_files
from recommender.report.comparison_csv import runs_csv, summary_csv
from recommender.report.comparison_page import comparison_page
from recommender.report.comparison_pictures import pixels_of

HTML, JSON, SUMMARY, RUNS = "report.html", "report.json", "summary.csv", "runs.csv"


def default_folder(comparison: ComparisonInput) -> Path:
    """The default folder of a report, below the current one."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", comparison.plan.dataset_name).strip("-.")[:60] or "data"
    return Path(f"comparison-{safe}")


def _no_photo(name: str) -> None:
    """No photo of any image."""


def report_texts(comparison: ComparisonInput, findings: Findings, target: Dataset | None) -> dict[str, str]:
    """The report's files by name. The photos are those of `target`; None draws the boxes on empty frames."""
    return {
        JSON: comparison_document(comparison, findings).model_dump_json(indent=2) + "\n",
        SUMMARY: summary_csv(findings),
        RUNS: runs_csv(comparison),
        **prediction_files(comparison),
        HTML: comparison_page(comparison, findings, pixels_of(target) if target else _no_photo),
    }


def write_report(
    comparison: ComparisonInput, findings: Findings, target: Dataset | None, folder: Path
) -> Path:
    """Write the files of `report_texts` into `folder`, each whole or not at all. Raises StorageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in report_texts(comparison, findings, target).items():
            (folder / name).parent.mkdir(exist_ok=True)
            with replacing(folder / name) as part:
                part.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise StorageError(
            f"The report cannot be written to {folder}: {error.strerror or error}.",
            remedy="Name another folder with --out; the trainings are kept, nothing is trained again.",
        ) from error
    return folder
