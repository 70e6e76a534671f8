"""Importing the package stays cheap; the heavy parts load when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import recommender.profile


@pytest.mark.slow
def test_importing_loads_neither_torch_nor_faiss() -> None:
    code = (
        "import sys, recommender.profile\n"
        "print(sorted({'torch', 'faiss', 'ultralytics', 'cv2', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_attempt_of_a_training_loads_no_store() -> None:
    """Its nodes need none, and loading one takes longer than all that an attempt does before torch is there."""
    code = (
        "import sys, tune_jobs.full_training\n"
        "print(sorted({'sqlalchemy', 'scipy', 'recommender.forecast', 'recommender.checkpoints'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists() -> None:
    for name in recommender.profile.__all__:
        assert getattr(recommender.profile, name) is not None
