"""The number of BLAS threads changes no bit of a forecast."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import threadpoolctl

from recommender.blas import single_blas_thread
from tests.processes import PYTHON, run_command

ANSWER = """
import hashlib
from dataclasses import replace
from recommender.forecast.history import known_history
from recommender.forecast.prior_fitting import fitted_scales
from recommender.forecast.ranking import rank_starts
from recommender.store import Store

history = known_history(Store())
target = history[0].situation.target.dataset_hash
asked = {str(o.situation.start): o.situation for o in history if o.situation.target.dataset_hash == target}
others = tuple(o for o in history if o.situation.target.dataset_hash != target)
scales = fitted_scales(others)
print(scales)
for row in rank_starts(others, tuple(asked.values()), scales=scales):
    print(row.situation.start, row.score, row.p_best, row.gain_over_scratch)
"""


def answer(threads: int, home: Path) -> str:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    surroundings = os.environ | dict.fromkeys(names, str(threads)) | {"RECOMMENDER_HOME": str(home)}
    done = run_command(*PYTHON, ANSWER, env=surroundings, timeout_s=600)
    return done.stdout


@pytest.mark.slow
def test_one_thread_and_two_give_the_same_answer(tmp_path: Path) -> None:
    one = answer(1, tmp_path)
    assert len(one.splitlines()) > 10
    assert answer(2, tmp_path) == one


def blas_threads() -> set[int]:
    return {entry["num_threads"] for entry in threadpoolctl.threadpool_info() if entry["user_api"] == "blas"}


def test_the_limit_is_lifted_when_the_last_user_leaves() -> None:
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        first, second = single_blas_thread(), single_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert blas_threads() == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before
