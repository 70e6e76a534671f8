"""Records survive as JSON, exactly; what does not fit is refused with one clear error."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from recommender.errors import StorageError
from recommender.records import Checkpoint, Evidence, Run
from recommender.store.records_json import decode, digest_of, encode
from tests.store import builders


@pytest.mark.slow
@given(record=builders.runs | builders.checkpoints | builders.evidences)
def test_any_record_comes_back_equal(record: Any) -> None:
    text = encode(record)
    assert text.isascii()
    assert decode(type(record), text) == record


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(number: float) -> None:
    with pytest.raises(StorageError, match="Evidence cannot be stored"):
        encode(Evidence(similarity=number))


def test_numbers_of_numpy_are_plain_numbers() -> None:
    measured: Any = np.float32(0.5)  # what an estimator may return in spite of its annotation
    evidence = Evidence(similarity=measured, scores={"knn_accuracy": np.float64(0.25)})
    assert decode(Evidence, encode(evidence)) == Evidence(similarity=0.5, scores={"knn_accuracy": 0.25})


def test_scores_that_version_0_1_stored_beside_the_fields_are_read() -> None:
    text = '{"similarity": 0.5, "knn_accuracy": 0.25, "h_score": null, "nearest_sources": ["faces"]}'
    found = decode(Evidence, text)
    assert found == Evidence(similarity=0.5, scores={"knn_accuracy": 0.25}, nearest_sources=("faces",))


def test_a_field_of_a_newer_version_is_ignored_and_an_absent_one_takes_its_default() -> None:
    content = json.loads(encode(builders.checkpoint()))
    del content["licence"]
    content["from_the_future"] = [1, {"x": None}]
    assert decode(Checkpoint, json.dumps(content)) == builders.checkpoint()


@pytest.mark.parametrize(
    "change",
    [
        {"status": "triumphant"},
        {"seconds": "4.5"},
        {"seconds": True},
        {"num_train_images": 1.5},
        {"curve": 3},
        {"start": None},
        {"recipe": []},
    ],
)
def test_a_text_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    content = json.loads(encode(builders.run())) | change
    with pytest.raises(StorageError, match="stored Run cannot be read"):
        decode(Run, json.dumps(content))


def test_a_missing_field_without_default_is_refused() -> None:
    content = json.loads(encode(builders.run()))
    del content["target_hash"]
    with pytest.raises(StorageError, match="target_hash"):
        decode(Run, json.dumps(content))


def test_the_digest_tells_any_change() -> None:
    text = encode(builders.run())
    other = encode(replace(builders.run(), seconds=4.6))
    assert digest_of(text) == digest_of(encode(builders.run())) != digest_of(other)
