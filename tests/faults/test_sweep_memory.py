"""Ray's own memory monitor kills a trial's actor, which breaks Ray Tune's whole fit: the sweep goes on."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.processes import PYTHON, run_command

pytestmark = [pytest.mark.ray, pytest.mark.slow]

_SWEEP = """
    import logging, sys
    from pathlib import Path
    import psutil, ray
    from recommender.records import Recipe
    from recommender.store import RANKABLE, Store
    from tests.tune_jobs.sweep_kit import packed, trial
    from tune_jobs.head_security import ensure_token
    from tune_jobs.sweep import tuning
    from tune_jobs.sweep.trial_spec import TrialLimits
    from tune_jobs.sweep.run import SweepSettings, run_trials

    folder = Path(sys.argv[1])
    ensure_token()
    memory = psutil.virtual_memory()
    threshold = (memory.total - memory.available + 3.5e9) / memory.total
    # Given here and not in the environment, so that our own watchdog does not act before Ray does.
    config = {"memory_usage_threshold": threshold, "memory_monitor_refresh_ms": 100}
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False,
             logging_level=logging.ERROR, _system_config=config)
    fit, broken = tuning.run_fit, []

    def observed(*arguments, **options):
        try:
            fit(*arguments, **options)
        except Exception as error:
            broken.append(type(error.__cause__).__name__)
            raise

    tuning.run_fit = observed
    artefact = packed(folder / "data")
    hungry = trial(artefact, recipe=Recipe(epochs=2, imgsz=2048, batch=6))
    good = trial(artefact, seed=1)
    with Store(folder / "store.sqlite3") as store:
        once = SweepSettings(limits=TrialLimits(max_restarts=0))
        result = run_trials([hungry, good], store=store, settings=once)
        print(broken[:1], [t.state for t in result.trials], len(store.runs.list(statuses=RANKABLE)))
"""


def test_ray_kills_for_memory_and_the_sweep_finishes(tmp_path: Path) -> None:
    """Row R5."""
    home = str(tmp_path / "home")
    done = run_command(*PYTHON, textwrap.dedent(_SWEEP), tmp_path, RECOMMENDER_HOME=home, OMP_NUM_THREADS="1")
    assert done.stdout.strip() == "['OutOfMemoryError'] ['failed', 'finished'] 1"
