"""The service under load on loopback: rows L1 and L2, health beside uploads and idle connections, memory.

    python -m benchmarks.service_load --seconds 30

Starts `recommend serve` with an empty home, uploads a drawn data set, has its recommendation computed once, and then
asks for it again at a constant rate, open loop, while a new profile enters the store every second, so that the index is
built anew and swapped every second, and neighbours are asked for from each new index. Then the rate is raised until
p99 exceeds 50 ms. Writes benchmarks/results/service_load.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.load_client import Client, Measured, constant_rate
from benchmarks.machine import arguments_of, stamp

RESULT = Path("benchmarks/results/service_load.json")
RATE, LIMIT_MS = 100.0, 50.0
RATES = (100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0)
MB = 2**20


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running service."""

    port: int
    key: str
    process: psutil.Process
    home: Path

    def rss_mb(self) -> float:
        """Resident memory of the serving process, its workers apart."""
        return float(self.process.memory_info().rss / MB)


def main() -> None:
    """Measure everything and write it down."""
    parser = arguments_of(__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as served:
        found = asyncio.run(measure(served, arguments.seconds))
    found = {"measured": stamp(), "seconds": arguments.seconds, **found}
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


async def measure(served: Served, seconds: float) -> dict[str, Any]:
    """The measurements in turn."""
    client = Client(served.port, served.key)
    dataset, question = await prepare(client, served)
    await constant_rate(client, "POST", "/v1/recommendations", question, rate=50, seconds=3)  # warm
    before_mb = served.rss_mb()
    with swapping(served.home) as swaps:
        cached, generations = await asyncio.gather(
            constant_rate(client, "POST", "/v1/recommendations", question, rate=RATE, seconds=seconds),
            watch_neighbours(served, dataset, seconds),
        )
    read = await constant_rate(client, "GET", "/v1/runs", b"", rate=RATE, seconds=seconds / 2)
    after_mb = served.rss_mb()
    return {
        "cached_recommendation_while_the_index_is_swapped": cached.summary()
        | {"rate_per_s": RATE, "swaps": swaps[0]},
        "neighbours_meanwhile": generations,
        "runs_list": read.summary() | {"rate_per_s": RATE},
        "holds": {
            "p99_limit_ms": LIMIT_MS,
            "highest_rate_per_s": await highest(client, question, seconds / 3),
        },
        "health_beside_uploads_and_1000_idle": await health(served),
        "memory_mb": {
            "before": round(before_mb),
            "after": round(after_mb),
            "at_the_end": round(served.rss_mb()),
        },
    }


async def prepare(client: Client, served: Served) -> tuple[str, bytes]:
    """Upload, ask, wait for the answer: from now on it is cached."""
    from tests.datagen import make_dataset, zip_of

    make_dataset(served.home / "set", images=40)
    archive = zip_of(served.home / "set", served.home / "set.zip")
    sent = subprocess.run(
        [
            "curl",
            *("-s", "-H", f"Authorization: Bearer {served.key}", "-F", f"file=@{archive}"),
            f"http://127.0.0.1:{served.port}/v1/datasets",
        ],
        capture_output=True,
        check=True,
    )
    dataset = json.loads(sent.stdout)["id"]
    question = json.dumps({"dataset": dataset, "epochs": 50, "offline": True}).encode()
    while True:
        status, content = await client.request("POST", "/v1/recommendations", question)
        state = json.loads(content)["status"]
        if state == "succeeded":
            print(f"an answer of {len(content)} bytes is cached")
            return dataset, question
        if status >= 400 or state == "failed":
            raise SystemExit(content.decode())
        await asyncio.sleep(1)


async def watch_neighbours(served: Served, dataset: str, seconds: float) -> dict[str, Any]:
    """Ask five times a second what is near: answers of one generation each, and of new ones all the time."""
    client, seen, wrong, end = Client(served.port, served.key), set(), 0, time.monotonic() + seconds
    asked = 0
    while time.monotonic() < end:
        status, content = await client.request("GET", f"/v1/datasets/{dataset}/neighbours")
        asked += 1
        answer = json.loads(content)
        seen.add(answer.get("generation"))
        wrong += status != 200 or not answer["sources"]
        await asyncio.sleep(0.2)
    return {"asked": asked, "generations_seen": len(seen), "wrong": wrong}


async def highest(client: Client, question: bytes, seconds: float) -> dict[str, Any]:
    """Raise the rate until p99 is beyond the limit or something fails; the last rate that held, and the next."""
    held: Measured | None = None
    for rate in RATES:
        found = await constant_rate(
            client, "POST", "/v1/recommendations", question, rate=rate, seconds=seconds
        )
        if found.quantile(0.99) > LIMIT_MS or set(found.statuses) != {200}:
            return {"held": held.summary() | {"rate_per_s": held.rate} if held else None} | {
                "broke": found.summary() | {"rate_per_s": rate}
            }
        held = found
    return {"held": held.summary() | {"rate_per_s": held.rate} if held else None, "broke": None}


async def health(served: Served) -> dict[str, Any]:
    """The durations of /healthz while 1,000 connections idle and two uploads trickle in."""
    stop = threading.Event()
    uploads = [threading.Thread(target=trickle, args=(served, stop)) for _ in range(2)]
    slowest = []
    with contextlib.ExitStack() as held:
        for _ in range(1000):
            held.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=10))
        for upload in uploads:
            upload.start()
        client = Client(served.port, served.key)
        for _ in range(25):
            begun = time.perf_counter()
            status, _ = await client.request("GET", "/healthz")
            assert status == 200
            slowest.append(1000 * (time.perf_counter() - begun))
            await asyncio.sleep(0.2)
    stop.set()
    for upload in uploads:
        upload.join()
    return {"slowest_ms": round(max(slowest), 1), "asked": len(slowest)}


def trickle(served: Served, stop: threading.Event) -> None:
    """Upload 8 MB a second until told to stop."""
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
    head = f"POST /v1/datasets HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {served.key}\r\n"
    head += f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {512 * MB}\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=30) as line,
        contextlib.suppress(OSError),
    ):
        line.sendall(head.encode() + part)
        while not stop.is_set():
            line.sendall(b"x" * MB)
            time.sleep(0.125)


@contextlib.contextmanager
def swapping(home: Path) -> Iterator[list[int]]:
    """A new profile in the store every second, from here, as another service would put it there."""
    from recommender.profile.shipped import builtin_profiles
    from recommender.store import Store

    stop, swaps = threading.Event(), [0]
    template = next(iter(builtin_profiles().values()))

    def work() -> None:
        with Store(home / "store.sqlite3") as store:
            while not stop.wait(1.0):
                store.profiles.put(
                    replace(template, dataset_hash=f"swap-{swaps[0]}", dataset_name=f"swap {swaps[0]}")
                )
                swaps[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield swaps
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def serving(home: Path) -> Iterator[Served]:
    """`recommend serve` with limits that the measurement does not meet."""
    environment = {
        **os.environ,
        "RECOMMENDER_HOME": str(home),
        "RECOMMENDER_SERVICE_REQUESTS_PER_S": "100000",
    }
    command = [str(Path(sys.executable).parent / "recommend"), "serve", "--port", "0"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        said = ""
        for line in process.stdout or ():
            said += line
            if "Serving on" in line:
                break
        key = re.findall(r"ckr_\w+_\S+", said)
        port = re.findall(r"Serving on http://127.0.0.1:(\d+)", said)
        try:
            yield Served(port=int(port[0]), key=key[0], process=psutil.Process(process.pid), home=home)
        finally:
            process.terminate()
            process.wait(timeout=60)


if __name__ == "__main__":
    main()
