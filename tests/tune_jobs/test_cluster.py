"""The right to run code on a cluster, and the errors where it cannot be used."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.cli.app import run
from recommender.errors import UnavailableError, UsageError
from recommender.requests import TrainingRequest
from recommender.store import Store
from tests.datagen import make_dataset
from tests.faults.ray_heads import TOKEN, running_head, wait_for_port, with_token, without_ray
from tests.processes import PYTHON, RECOMMEND, run_command
from tune_jobs.cluster import _start_local, connect, require_cluster
from tune_jobs.head_security import ensure_token, is_loopback, is_open, require_entrance, require_token
from tune_jobs.local_environment import free_port


@pytest.mark.parametrize("address", ["head", "head:port", "ray://", ":6379", "head:99999"])
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match="not understood"):
        require_token(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:6379", True),
        ("ray://localhost:10001", True),
        ("[::1]:6379", True),
        ("192.0.2.1:6379", False),
    ],
)
def test_loopback_is_told_from_the_rest(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_a_head_that_is_not_there_is_named_at_once() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(UnavailableError, match=f"No Ray head answers at {address}"):
        require_token(address)
    with pytest.raises(UnavailableError, match="No Ray head answers"), connect(address):
        pass


def test_what_is_no_ray_head_is_not_taken_for_one_with_another_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_jobs.head_security.PROBE_TIMEOUT_S", 0.5)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        for scheme in ("", "ray://"):
            with pytest.raises(UnavailableError, match="does not answer as a Ray head does"):
                require_entrance(f"{scheme}127.0.0.1:{mute.getsockname()[1]}")


def test_a_job_server_s_address_is_told_from_a_head_s() -> None:
    with pytest.raises(UsageError, match="address of a job server") as caught:
        require_cluster("http://127.0.0.1:8265")
    assert "ray job submit" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("command", "address", "said"),
    [
        ("sweep -d", "http://127.0.0.1:8265", "address of a job server"),
        ("sweep -d", "head", "'head' is not understood"),
        ("compare --start coco:full --start scratch -d", "head", "'head' is not understood"),
        ("--trials 1 -d", "127.0.0.1:1", "No Ray head answers at 127.0.0.1:1"),
    ],
)
def test_an_address_that_cannot_serve_is_told_before_any_data_are_read(
    command: str, address: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), str(tmp_path / "no data here"), "--address", address]) != 0
    assert said in capsys.readouterr().err


def test_a_cluster_of_our_own_gets_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    ensure_token()
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


def test_the_users_own_choice_of_token_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine" * 16)
    ensure_token()
    assert os.environ["RAY_AUTH_TOKEN"] == "mine" * 16


@pytest.mark.parametrize(("failures", "started"), [(1, True), (3, False)])
def test_a_machine_too_busy_to_start_ray_in_time_is_asked_again(
    failures: int, started: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray allows a node 30 s, raises a bare Exception, and leaves what it started."""
    import ray

    left: list[subprocess.Popen[bytes]] = []

    def init(**_: object) -> None:
        if len(left) < failures:
            left.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
            raise Exception("The current node timed out during startup. This could happen …")

    monkeypatch.setattr(ray, "init", init)
    if started:
        _start_local(1)
    else:
        with pytest.raises(UnavailableError, match="did not start: The current node timed out"):
            _start_local(1)
    assert len(left) == failures
    assert [process.wait(timeout=5) for process in left] == [-signal.SIGKILL] * failures


def test_whatever_keeps_ray_from_starting_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def init(**_: object) -> None:
        raise ValueError("the object store is larger than the memory")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UnavailableError, match="did not start: the object store is larger"):
        _start_local(1)


# ── real heads ──


@pytest.fixture(scope="module")
def open_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """A head that asks for no token, and its port for ray:// clients."""
    client = free_port()
    home = tmp_path_factory.mktemp("home")
    variables = without_ray(RAY_AUTH_MODE="disabled", RECOMMENDER_HOME=str(home))
    with running_head(variables, f"--ray-client-server-port={client}") as port:
        wait_for_port(client)
        yield port, client


@pytest.fixture(scope="module")
def closed_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """A head that asks for the token, and its port for ray:// clients."""
    client = free_port()
    variables = with_token(tmp_path_factory.mktemp("home"))
    with running_head(variables, f"--ray-client-server-port={client}") as port:
        wait_for_port(client)
        yield port, client


def this_machine() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            found = str(probe.getsockname()[0])
        except OSError:
            found = "127.0.0.1"
    if is_loopback(f"{found}:1"):
        pytest.skip("this machine has no address but loopback")
    return found


@pytest.mark.ray
@pytest.mark.slow
def test_a_head_without_token_is_refused(open_head: tuple[int, int]) -> None:
    """Row H1."""
    port, client = open_head
    host = this_machine()
    for address in (f"{host}:{port}", f"ray://{host}:{client}"):
        assert is_open(address)
        with pytest.raises(UnavailableError, match="asks for no token"):
            require_token(address)
        with pytest.raises(UnavailableError, match="asks for no token"), connect(address):
            pass
    require_token(f"127.0.0.1:{port}")  # started here by hand; the service is stricter:
    with pytest.raises(UnavailableError, match="asks for no token"):
        require_token(f"127.0.0.1:{port}", allow_loopback=False)


@pytest.mark.ray
@pytest.mark.slow
def test_a_head_with_token_is_taken(closed_head: tuple[int, int]) -> None:
    port, client = closed_head
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{client}"):
        assert not is_open(address)
        require_token(address, allow_loopback=False)


@pytest.mark.ray
@pytest.mark.slow
def test_a_proxy_does_not_hide_that_a_head_is_open(
    open_head: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert is_open(f"127.0.0.1:{open_head[0]}")


@pytest.mark.ray
@pytest.mark.slow
def test_an_open_head_that_came_up_later_gets_nothing_from_the_service(
    open_head: tuple[int, int], tmp_path: Path, home: Path
) -> None:
    """Whoever names it on the command line may use it; whoever asks over HTTP may not, and no file leaves here."""
    from tests.tune_jobs.launch_kit import Workshop
    from tune_jobs.hosting import JobLocation, _require_token
    from tune_jobs.training_spec import submit_training

    place = JobLocation(address=f"ray://127.0.0.1:{open_head[1]}")
    with Store(tmp_path / "store.sqlite3") as store:
        workshop = Workshop(tmp_path, store)
        own = workshop.ask("key")
        _require_token(place, own)
        request = TrainingRequest.model_validate(
            {"dataset": str(workshop.data), "start": "scratch", "imgsz": 64, "batch": 4}
        )
        job, _ = submit_training(store, request, workshop.target, key="key", cluster=own.cluster, owner="ada")
        store.jobs.request_cancel(own.id)
        launcher = workshop.launcher(guard=lambda job: _require_token(place, job))
        for _ in range(2):
            launcher.step()
        assert "asks for no token" in (launcher.trouble or "")
        notes = [event.data for event in store.jobs.events(job.id) if event.kind == "note"]
        assert len(notes) == 1, "told once"
        assert "asks for no token" in notes[0]
        assert workshop.cluster.ids() == []
        assert not [path for path in (tmp_path / "storage").rglob("*") if path.is_file()]


_CONNECT = """
    import sys
    from recommender.errors import UnavailableError
    from tune_jobs.cluster import connect
    try:
        with connect(sys.argv[1]) as cluster:
            print("nodes", len(cluster.nodes()))
    except UnavailableError as error:
        print("refused:", error)
"""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("token", "answer"),
    [
        (TOKEN, "nodes 1"),
        ("f" * 64, "refused: The Ray cluster at '127.0.0.1:{port}' asks for a token, and the one set here"),
        (None, "refused: The Ray cluster at '127.0.0.1:{port}' asks for a token, and none is set here"),
    ],
)
def test_only_the_right_token_opens(
    closed_head: tuple[int, int], tmp_path: Path, token: str | None, answer: str
) -> None:
    """Row H1: right, wrong and none."""
    variables = {**with_token(tmp_path, HOME=str(tmp_path)), "RAY_AUTH_TOKEN": token or ""}
    if token is None:
        del variables["RAY_AUTH_TOKEN"], variables["RAY_AUTH_MODE"]
    done = run_command(
        *PYTHON, textwrap.dedent(_CONNECT), f"127.0.0.1:{closed_head[0]}", status=None, env=variables
    )
    assert done.stdout.startswith(answer.format(port=closed_head[0])), done.stdout + done.stderr
    if token != TOKEN:
        assert "RAY_AUTH_TOKEN" in done.stdout


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_is_driven_from_outside(closed_head: tuple[int, int], tmp_path: Path) -> None:
    """By ray://: the data sets and the store are here, the trainings there."""
    make_dataset(tmp_path / "signs", images=8, size=(64, 64), boxes=1)
    small = [
        "--modes",
        "scratch",
        "--checkpoint",
        "scratch",
        "--epochs",
        "2",
        "--imgsz",
        "64",
        "--batch",
        "4",
    ]
    done = run_command(
        *(*RECOMMEND, "sweep"),
        *("--dataset", str(tmp_path / "signs"), *small, "--seeds", "0,1", "--json"),
        *("--address", f"ray://127.0.0.1:{closed_head[1]}"),
        env=with_token(tmp_path / "home"),
    )
    document = json.loads(done.stdout)
    assert document["trials"]["finished"] == 2
    assert document["ended_early"] is None
    with Store(tmp_path / "home" / "store.sqlite3") as store:
        assert {run.id for run in store.runs.list()} == set(document["results"][0]["runs"])
    assert not (tmp_path / "home" / "node_cache").exists()  # nothing was trained in this home


@pytest.mark.ray
@pytest.mark.slow
def test_the_service_does_not_start_before_an_open_head(
    open_head: tuple[int, int], closed_head: tuple[int, int], tmp_path: Path
) -> None:
    """Row H1, however the head is named, loopback included."""
    from service.workers.job_hosts import check_head

    port, client = open_head
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{client}", f"ray://{this_machine()}:{client}"):
        with pytest.raises(UsageError, match="asks for no token"):
            check_head(address)
    check_head(f"ray://127.0.0.1:{closed_head[1]}")
    serve = (*RECOMMEND, "serve", "--port", "0", "--address", f"ray://127.0.0.1:{client}")
    done = run_command(*serve, status=2, env=without_ray(RECOMMENDER_HOME=str(tmp_path)))
    assert "asks for no token" in done.stderr
    assert "Serving" not in done.stdout
