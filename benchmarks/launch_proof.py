"""Two launchers on one PostgreSQL, many launches on a real Ray, kills in between: none lost, none doubled.

`python -m benchmarks.launch_proof --launches 200` starts a PostgreSQL, a Ray head and two launchers. Two clients ask
for the same trainings at the same time. Every few seconds one launcher is killed by SIGKILL and started again, and
now and then every server process of the database. The training itself takes no time; everything else is real.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recommender.errors import RecommenderError
from recommender.store import Store
from tests.postgres import PostgresServer, running_server
from tests.tune_jobs.launch_kit import CLUSTER, TRIVIAL, Workshop
from tune_jobs.launcher import Launcher, LauncherSettings
from tune_jobs.local_ray import local_job_server
from tune_jobs.ray_jobs import RayJobs
from tune_jobs.storage import UrlStorage


@dataclass(kw_only=True)
class Counts:
    """The kills and restarts so far."""

    launcher_kills: int = 0
    database_kills: int = 0


def serve(url: str, address: str, storage: str) -> None:
    """Be one launcher until killed or out of work."""
    root = Path(__file__).resolve().parent.parent
    settings = LauncherSettings(
        cluster=CLUSTER,
        storage_url=storage,
        module=TRIVIAL,
        environment={"PYTHONPATH": str(root), "RECOMMENDER_HOME": os.environ["RECOMMENDER_HOME"]},
        ttl_s=6.0,
        max_crashes=10,
    )
    with Store(url) as store:
        launcher = Launcher(store, RayJobs(address), UrlStorage(storage), settings)
        while True:
            try:
                if not launcher.step():
                    return
            except RecommenderError as error:  # the database was killed for longer than the store retries
                sys.stderr.write(f"{error}\n")
            time.sleep(0.2)


def ask_twice(workshop: Workshop, url: str, launches: int) -> None:
    """Two clients, each with its own connection, ask for everything."""

    def client(_: int) -> None:
        with Store(url) as store:
            asking = workshop.through(store)
            for number in range(launches):
                asking.ask(f"launch-{number}", seed=number)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(client, range(2)))


def progress(store: Store) -> int:
    """A number that rises with everything that happens: launches confirmed, reports taken in, ends."""
    return sum(job.submitted + job.collected + job.ended for job in store.jobs.list(limit=100_000))


def torment(workshop: Workshop, postgres: PostgresServer, url: str, address: str, seed: int) -> Counts:
    """Keep two launchers running and kill one in the middle of its work, again and again, until every job ended."""
    dice, counts = random.Random(seed), Counts()
    command = [sys.executable, "-m", "benchmarks.launch_proof", "--serve", url, address, workshop.storage.url]
    launchers = [subprocess.Popen(command) for _ in range(2)]
    seen, patience = 0, 0
    while left := len(workshop.store.launches.active(CLUSTER)):
        time.sleep(dice.uniform(0.1, 0.6))
        for index, launcher in enumerate(launchers):
            if launcher.poll() is not None:
                launchers[index] = subprocess.Popen(command)
        happened = progress(workshop.store)
        if happened - seen < patience:
            continue
        seen, patience = happened, dice.randint(4, 24)
        victim = dice.randrange(2)
        launchers[victim].kill()
        launchers[victim].wait()
        counts.launcher_kills += 1
        if dice.random() < 0.15:
            counts.database_kills += postgres.kill_backends(url) > 0
        sys.stderr.write(f"{left} left, {counts.launcher_kills} kills\n")
    for launcher in launchers:
        launcher.kill()
        launcher.wait()
    return counts


def account(workshop: Workshop, address: str) -> dict[str, Any]:
    """The numbers of jobs and runs at the end, in the store and on the cluster."""
    from ray.job_submission import JobSubmissionClient

    jobs = workshop.store.jobs.list(limit=100_000)
    submitted = [str(job.submission_id) for job in JobSubmissionClient(address).list_jobs()]
    return {
        "jobs": len(jobs),
        "statuses": dict(Counter(job.status for job in jobs)),
        "attempts_beyond_the_first": sum(job.attempt - 1 for job in jobs),
        "submissions_on_ray": len(submitted),
        "submissions_nobody_asked_for": len(
            set(submitted) - {f"recommend-{job.id}-{n}" for job in jobs for n in range(1, job.attempt + 1)}
        ),
        "runs": len(workshop.store.runs.list()),
        "checkpoints": len(workshop.store.checkpoints.list()),
    }


def main() -> None:
    """Run the proof and print its account as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--launches", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=4, help="CPUs that Ray believes to have")
    parser.add_argument("--serve", nargs=3, metavar=("URL", "ADDRESS", "STORAGE"))
    given = parser.parse_args()
    if given.serve:
        serve(*given.serve)
        return
    with tempfile.TemporaryDirectory(prefix="launch-proof-") as name, running_server() as postgres:
        folder = Path(name)
        os.environ["RECOMMENDER_HOME"] = str(folder / "home")
        url = postgres.fresh_database()
        with Store(url) as store, local_job_server(folder / "ray.log", num_cpus=given.parallel) as address:
            workshop = Workshop(folder, store)
            begun = time.monotonic()
            ask_twice(workshop, url, given.launches)
            asked = time.monotonic()
            counts = torment(workshop, postgres, url, address, given.seed)
            result = account(workshop, address) | {
                "launcher_kills": counts.launcher_kills,
                "database_kills": counts.database_kills,
                "seconds_to_ask_twice": round(asked - begun, 1),
                "seconds_to_finish": round(time.monotonic() - asked, 1),
            }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    expected = given.launches
    ok = result["statuses"] == {"succeeded": expected} and result["runs"] == result["checkpoints"] == expected
    raise SystemExit(0 if ok and result["submissions_nobody_asked_for"] == 0 else 1)


if __name__ == "__main__":
    main()
