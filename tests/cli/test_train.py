"""`recommend train` before the training: what it is to be trained on, and what is wrong with that."""

from __future__ import annotations

from pathlib import Path

from recommender.cli.train import _resolved
from recommender.profile import ENCODER
from recommender.requests import TrainingRequest
from recommender.store import Store
from tests.datasets.helpers import write_rows, yolo_set


def test_what_is_wrong_with_the_data_is_said_before_it_is_trained_on(home: Path, tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    write_rows(folder, 0, "0 0.95 0.5 0.3 0.3\n0 0.5 0.5 0.2\n")
    with Store.open_default() as store:
        request = TrainingRequest.model_validate({"dataset": str(folder), "start": "scratch"})
        _, target, notices = _resolved(store, request, 0)
        assert store.profiles.get(target.hash, ENCODER) is not None  # made once, for the result as well
    assert {"label_clipped", "label_columns"} <= {notice.code for notice in notices}
