"""A stored inspection is published with its types, whatever version wrote it."""

from __future__ import annotations

from pathlib import Path

from recommender.datasets import open_dataset
from recommender.datasets.inspection import inspect_dataset
from recommender.report.inspection import InspectionDocument, inspection_document
from service.schemas.datasets import InspectionFailed
from service.schemas.from_records import health_of
from tests.datagen import make_dataset


def test_what_was_stored_is_published_whole_and_a_failure_says_why(tmp_path: Path) -> None:
    document = inspection_document(inspect_dataset(open_dataset(make_dataset(tmp_path))))
    found = health_of(document.to_json())
    assert isinstance(found, InspectionDocument)
    assert found == document
    assert health_of('{"error": "It is gone."}') == InspectionFailed(error="It is gone.")
    other = health_of('{"healthy": true}')
    assert isinstance(other, InspectionFailed)
    assert "version" in other.error
