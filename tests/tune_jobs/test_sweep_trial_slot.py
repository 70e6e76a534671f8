"""A slot for trials on a node that lacks this package: it says so, and keeps other trials from it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import ray

from tune_jobs.sweep.trial_slot import trial_slot

ON_SUCH_A_NODE = """
import json, sys
sys.modules["tune_jobs"] = sys.modules["recommender"] = None
import ray
slot_class = ray.cloudpickle.load(sys.stdin.buffer)
slot = slot_class.__new__(slot_class)
slot.setup({"id": "a"}, sweep=b"of the driver")
first = slot.step()
slot.reset_config({"id": "b"})
slot.request_stop("b", "no gain")
second = slot.step()
slot.cleanup()
print(json.dumps([first, second]))
"""


@pytest.mark.slow
def test_a_node_without_this_package_says_so_for_each_trial() -> None:
    found = subprocess.run(
        [sys.executable, "-c", ON_SUCH_A_NODE],
        input=ray.cloudpickle.dumps(trial_slot()),
        capture_output=True,
        timeout=120,
        check=True,
    )
    events = json.loads(found.stdout)
    assert [(event["id"], event["kind"], event["done"]) for event in events] == [
        ("a", "unfit", False),
        ("b", "unfit", False),
    ]
    for event in events:
        assert "this node cannot train, ModuleNotFoundError" in event["note"]
        assert f"install checkpoint-recommender in the environment of {sys.executable}" in event["note"]
