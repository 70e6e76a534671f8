"""kill -9 of the service while it answers: its workers end with it, and the next life finishes what was asked."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from recommender.store import Store
from tests.datagen import make_dataset, zip_of
from tests.service.kit import wait_until


@dataclass(frozen=True, kw_only=True)
class Life:
    """One run of the service."""

    process: psutil.Process
    address: str
    key: str | None  # made in the first life only


@contextlib.contextmanager
def life(folder: Path) -> Iterator[Life]:
    """`recommend serve` on a free port, with the folder's home."""
    command = (str(Path(sys.executable).with_name("recommend")), "serve", "--port", "0")  # as users start it
    environment = {**os.environ, "RECOMMENDER_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    said = folder / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=subprocess.DEVNULL
        )
    try:
        wait_until(lambda: "Serving on" in said.read_text(), 120)
        text = said.read_text()
        assert "ckr_" not in text
        file = folder / "home" / "first-admin-key"
        key = file.read_text().strip() if "First start" in text else None
        assert file.stat().st_mode & 0o777 == 0o600
        address = re.findall(r"Serving on (\S+)", text)[0]
        yield Life(process=psutil.Process(process.pid), address=address, key=key)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_question_survives_its_service(tmp_path: Path) -> None:
    (tmp_path / "multiprocessing.py").write_text("open('loaded', 'w').close()")  # as a data set may bring it
    make_dataset(tmp_path / "set", seed=41)
    archive = zip_of(tmp_path / "set", tmp_path / "set.zip")
    with life(tmp_path) as first, Store(tmp_path / "home" / "store.sqlite3") as store:
        headers = {"Authorization": f"Bearer {first.key}"}
        with archive.open("rb") as file:
            files = {"file": ("set.zip", file)}
            held = httpx.post(
                f"{first.address}/v1/datasets", headers=headers, files=files, timeout=120
            ).json()
        body = {"dataset": held["id"], "epochs": 7, "offline": True, "max_feature_candidates": 1}
        asked = httpx.post(
            f"{first.address}/v1/recommendations", headers=headers, json=body, timeout=60
        ).json()
        wait_until(lambda: any(ask.status == "running" for ask, _ in store.recommendations.open()), 60)
        workers = first.process.children(recursive=True)
        first.process.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(alive(worker) for worker in workers), 20)
    with life(tmp_path) as second, Store(tmp_path / "home" / "store.sqlite3") as store:
        assert second.key is None
        address = f"{second.address}/v1/recommendations/{asked['id']}"

        def status() -> str:
            return str(httpx.get(address, headers=headers, timeout=60).json()["status"])

        wait_until(lambda: status() not in ("queued", "running"), 300, every_s=0.5)
        assert status() == "succeeded"
        assert store.recommendations.num_attempts(asked["id"]) == 2
        numbers = [event.seq for event in store.jobs.events(asked["id"])]
        assert numbers == list(range(1, len(numbers) + 1))
    assert not (tmp_path / "loaded").exists()


def alive(process: psutil.Process) -> bool:
    """Running, and not merely waiting to be buried."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
