"""Processes below a node end with it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time

import psutil

from tune_jobs.orphans import end_with_node

# A "raylet" with a worker, which has started an attempt: three processes, of which the first is then killed.
ATTEMPT = """
    import time
    from tune_jobs.orphans import end_with_node
    print(end_with_node(check_s=0.1, raylet={name!r}), flush=True)
    time.sleep(120)
"""
PARENT = """
    import subprocess, sys, time
    own = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
    print(own.pid, flush=True)
    time.sleep(120)
"""


def test_an_attempt_ends_when_its_node_is_killed() -> None:
    attempt = textwrap.dedent(ATTEMPT).format(name=_name_of_python())
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), attempt],
        stdout=subprocess.PIPE,
        text=True,
    ) as node:
        assert node.stdout is not None
        orphan = psutil.Process(int(node.stdout.readline()))
        try:
            assert node.stdout.readline() == "True\n"
            assert orphan.is_running()
            node.kill()
            end = time.monotonic() + 20
            while orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < end, "it goes on without its node"
                time.sleep(0.05)
        finally:
            if orphan.is_running():
                orphan.kill()


def _name_of_python() -> str:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as probe:
        name: str = psutil.Process(probe.pid).name()
        probe.communicate(b"\n")
    return name


def test_without_a_node_nothing_is_watched() -> None:
    assert not end_with_node(raylet="no-process-of-this-name")
