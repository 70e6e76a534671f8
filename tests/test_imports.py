"""Importing stays cheap: the heavy parts load when they are used."""

from __future__ import annotations

import pytest

import recommender.profile
from tests.processes import PYTHON, run_command


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("recommender, recommender.cli.app", "torch ray faiss ultralytics numpy sqlalchemy"),
        # The nodes of a training need no store, and loading one takes longer than all that comes before torch.
        ("tune_jobs.full_training", "sqlalchemy scipy recommender.forecast recommender.checkpoints"),
        pytest.param("recommender.profile", "torch faiss ultralytics cv2 sklearn", marks=pytest.mark.slow),
    ],
)
def test_importing_loads_nothing_heavy(modules: str, heavy: str) -> None:
    code = f"import sys, {modules}; print(sorted(set({heavy!r}.split()) & set(sys.modules)))"
    done = run_command(*PYTHON, code)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists() -> None:
    for name in recommender.profile.__all__:
        assert getattr(recommender.profile, name) is not None
