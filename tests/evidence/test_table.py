"""A new estimator is one row: measured, stored, published, shown, weighed and backtested by the table alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from recommender.evidence import ESTIMATORS

ROOT = Path(__file__).parents[2]
SOURCES = [file for part in ("recommender", "tune_jobs", "service") for file in (ROOT / part).rglob("*.py")]
HOME = ROOT / "recommender" / "evidence"


@pytest.mark.parametrize("name", [row.name for row in ESTIMATORS])
def test_no_other_file_names_an_estimator(name: str) -> None:
    naming = [file.relative_to(ROOT) for file in SOURCES if f'"{name}"' in file.read_text("utf-8")]
    assert naming == [Path("recommender/evidence/table.py")]


def test_names_and_labels_are_distinct_and_the_guide_names_the_files() -> None:
    assert len({row.name for row in ESTIMATORS}) == len({row.label for row in ESTIMATORS}) == len(ESTIMATORS)
    guide = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("### To add an estimator")[1]
    guide = guide.split("###")[0]
    for file in (HOME / "estimators.py", HOME / "table.py"):
        assert f"`{file.relative_to(ROOT)}`" in guide
        assert file.is_file()
