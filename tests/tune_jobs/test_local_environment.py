"""Ray clusters of our own: who reaches them, whatever the environment says, and what is said when none starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psutil
import pytest

from recommender.errors import UnavailableError
from recommender.store import Store
from tests.faults.ray_heads import without_ray
from tests.service.kit import wait_until
from tune_jobs import cluster, head_security, hosting, local_ray, ray_jobs
from tune_jobs.address_space import limited_to, require_address_space
from tune_jobs.head_security import current_head, ensure_token, require_head
from tune_jobs.local_environment import MAX_SOCKET_BYTES, bypass_proxies, free_port, require_short_temp_folder
from tune_jobs.local_ray import local_job_server
from tune_jobs.ray_jobs import RayJobs

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture(autouse=True)
def nothing_of_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without what concerns Ray and proxies, put back afterwards."""
    for name in [name for name in os.environ if name.startswith("RAY_")] + list(PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # where Ray looks for a token


@pytest.mark.parametrize("mode", ["disabled", "DISABLED", "nonsense", ""])
def test_a_disabled_token_left_in_the_environment_is_overridden(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/nowhere/token")
    ensure_token()
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ


def test_the_socket_path_is_checked_before_ray_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("a" * MAX_SOCKET_BYTES)))
    began = time.monotonic()
    for start in (lambda: local_job_server(tmp_path / "log"), cluster.connect):
        with pytest.raises(UnavailableError, match="TMPDIR is too long: set RAY_TMPDIR"), start():
            pass
    assert time.monotonic() - began < 10
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    require_short_temp_folder()


def test_why_a_head_ended_is_part_of_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "launcher.log"
    log.write_text("ValueError: of another day\n")
    program = "import sys; print('starting'); raise OSError('no room for the sockets')"
    monkeypatch.setattr(local_ray, "head_command", lambda port, **_: [sys.executable, "-c", program])
    with (
        pytest.raises(
            UnavailableError, match=r"ended at once, with code 1: OSError: no room for the sockets"
        ),
        local_job_server(log),
    ):
        pass


def test_calls_to_this_machine_go_round_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.org, 10.0.0.1")
    bypass_proxies()
    hosts = os.environ["no_proxy"].split(",")
    assert {"example.org", "10.0.0.1", "127.0.0.1", "localhost", "::1", socket.gethostname()} <= set(hosts)
    bypass_proxies()
    assert os.environ["no_proxy"].split(",") == hosts
    monkeypatch.setenv("no_proxy", "*")
    bypass_proxies()
    assert os.environ["no_proxy"] == "*"


@pytest.mark.slow
def test_a_launcher_loads_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`recommend train` may be given within a data set that somebody else has made."""
    (tmp_path / "filelock.py").write_text("open('loaded', 'w').close()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path / "home"))
    with Store(tmp_path / "store.sqlite3") as store:
        assert hosting.ensure_host(store, hosting.JobLocation())
    launcher = list(hosting._started.values())[-1]
    try:
        assert launcher.wait(timeout=300) == 0  # a local Ray is started first, which may take minutes
    finally:
        launcher.kill()
    assert not list(tmp_path.rglob("loaded"))


def test_jobs_of_this_machine_survive_another_host_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container has another one at each start, and a backup may be restored elsewhere."""
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path / "home"))
    before = hosting.JobLocation().cluster
    hosting._local_cluster.cache_clear()
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert hosting.JobLocation().cluster == before
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path / "other"))
    assert hosting.JobLocation().cluster != before


@pytest.mark.slow
@pytest.mark.parametrize("recorded", [None, "127.0.0.1:{port}"])
def test_auto_without_a_living_cluster_is_said_at_once(
    recorded: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address file outlives its cluster; Ray itself tries for minutes."""
    from ray._private import services

    from recommender.cli.app import run

    monkeypatch.setattr(services, "find_gcs_addresses", set)  # other clusters of this machine
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path / "home"))
    expected = "no Ray cluster runs on this machine"
    if recorded is not None:
        recorded = recorded.format(port=free_port())
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(recorded)
        expected = f"stands for {recorded}, and nothing answers there"
    assert current_head() == recorded
    with pytest.raises(UnavailableError, match=expected):
        require_head("auto")
    with pytest.raises(UnavailableError, match=expected), cluster.connect("auto"):
        pass
    assert run(["train", "--dataset", str(tmp_path), "--start", "scratch", "--address", "auto"]) == 1
    assert expected in " ".join(capsys.readouterr().err.split())


def test_training_where_nobody_listens_is_said_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recommender.cli.app import run

    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path / "home"))
    for address in (f"http://127.0.0.1:{free_port()}", f"ray://127.0.0.1:{free_port()}"):
        command = ["train", "--dataset", "nothing-here", "--start", "scratch", "--address", address]
        assert run([*command, "--storage", str(tmp_path / "storage")]) == 1
        said = capsys.readouterr().err
        assert "No Ray head answers at 127.0.0.1:" in said
        assert "Warning" not in said


def test_both_versions_are_named_where_they_differ() -> None:
    said = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.1\n"
        "This process on node 10.0.0.2 was started with:\n    Ray: 2.60.0\n    Python: 3.11.2\n"
    )
    reason = cluster._reason(RuntimeError(said))
    assert "Ray: 2.9.0" in reason
    assert "Ray: 2.60.0" in reason


def test_a_token_that_cannot_be_read_is_told_from_one_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert head_security._lack_of_token() == "none is set here"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path))
    assert head_security._lack_of_token() == f"{tmp_path} cannot be read: Is a directory"
    (tmp_path / "token").write_text("0123")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert head_security._lack_of_token() is None


UNDER_A_LIMIT = """
from tune_jobs.address_space import limited_to
from tune_jobs.cluster import connect
print(limited_to())
try:
    with connect("local"):
        print("connected")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_too_little_address_space_is_said_at_once_and_no_ray_is_started() -> None:
    command = ["bash", "-c", 'ulimit -v 3000000; exec "$0" -c "$1"', sys.executable, UNDER_A_LIMIT]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    assert "a process here may have 3.1 GB of address space" in said
    assert "UnavailableError A process may have 3.1 GB of address space here" in said
    assert "ulimit -v unlimited" in said


def test_a_limit_that_is_no_reason_is_not_told() -> None:
    program = "from tune_jobs.address_space import limited_to; print(repr(limited_to()))"
    command = ["bash", "-c", 'ulimit -v 100000000; exec "$0" -c "$1"', sys.executable, program]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "''\n"


def test_without_a_limit_on_address_space_nothing_is_said_of_it() -> None:
    require_address_space()
    assert limited_to() == ""


def listening(pid: int) -> list[str]:
    """The addresses on which the processes below `pid` listen."""
    pids = {child.pid for child in psutil.Process(pid).children(recursive=True)} | {pid}
    found = [one for one in psutil.net_connections("inet") if one.status == "LISTEN" and one.pid in pids]
    return [one.laddr.ip for one in found if one.laddr]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The job server of a head of our own, started where the environment says what would harm it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            patch.delenv(name)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_AUTH_TOKEN", "")
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        with local_job_server(tmp_path_factory.mktemp("logs") / "log", num_cpus=1) as address:
            yield address


@pytest.mark.ray
@pytest.mark.slow
def test_our_own_head_asks_for_a_token_and_listens_on_loopback_only(head: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        direct.open(f"{head}/api/jobs/", timeout=10)
    wait_until(lambda: len(listening(os.getpid())) > 5, 120)
    time.sleep(3)  # the last agents come up
    addresses = listening(os.getpid())
    assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}


def test_a_job_server_that_takes_the_connection_and_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_jobs, "ANSWER_S", 0.5)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)  # which Ray asks for once a test before has set its mode
    with socket.create_server(("127.0.0.1", 0)) as silent:
        jobs = RayJobs(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(UnavailableError, match=r"does not answer: .*timed out"):
            jobs.require_answer()


def test_gpus_are_counted_beyond_the_hundred_nodes_that_ray_lists_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = [{"state": "DEAD", "resources_total": {"GPU": 1.0}}] * 100
    nodes += [{"state": "ALIVE", "resources_total": {"GPU": 2.0}}]

    class Client:
        def _do_request(self, method: str, path: str) -> httpx.Response:
            limit = parse_qs(urlsplit(path).query).get("limit", ["100"])
            return httpx.Response(200, json={"data": {"result": {"result": nodes[: int(limit[0])]}}})

    jobs = RayJobs("http://10.0.0.1:8265")
    monkeypatch.setattr(jobs, "_connected", Client)
    assert jobs.total_gpus() == 2


def test_nobody_is_sent_to_look_after_a_ray_that_was_started_for_him() -> None:
    silent = ConnectionError("Connection refused")
    ours = str(RayJobs("http://127.0.0.1:1", started_here=True)._unavailable(silent))
    assert "started anew by itself" in ours
    assert "token" not in ours
    assert "its token is set" in str(RayJobs("http://10.0.0.1:8265")._unavailable(silent))


@pytest.mark.ray
@pytest.mark.slow
def test_a_proxy_does_not_stand_before_our_own_head(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    ours = psutil.Process(os.getpid()).children(recursive=True)
    environment = next(found for one in ours if "RAY_AUTH_TOKEN" in (found := one.environ()))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", environment["RAY_AUTH_TOKEN"])
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    head_security._refresh_ray()
    assert RayJobs(head).state("nothing") is None
    assert (
        RayJobs(head).total_gpus() == torch.cuda.device_count()
    )  # as its nodes say, from the first second on
    assert not head_security.is_open(head)


@pytest.mark.ray
@pytest.mark.slow
def test_a_head_of_ours_that_asks_for_no_token_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setattr(local_ray, "ensure_token", lambda: None)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with (
        pytest.raises(UnavailableError, match="asked for no token, and was ended"),
        local_job_server(tmp_path / "log", num_cpus=1),
    ):
        pass
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


CLUSTER = """
    import os, psutil
    from importlib.util import find_spec
    from recommender.home import home
    from tune_jobs.cluster import connect
    from tune_jobs.head_security import is_open
    import ray
    with connect(num_cpus=1):
        print("home", ray.get(ray.remote(lambda: str(home())).remote()))
        print("planted", ray.get(ray.remote(lambda: find_spec("planted")).remote()))
        pids = {child.pid for child in psutil.Process().children(recursive=True)}
        for one in psutil.net_connections("inet"):
            if one.status == "LISTEN" and one.pid in pids:
                print("listens", one.laddr.ip.removeprefix("::ffff:"))
        print("open", is_open(ray.get_runtime_context().gcs_address))
    print("restored", os.environ["RECOMMENDER_HOME"])
    print("left", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" in os.environ)
    print("clusters", ray._private.ray_constants.ENABLE_RAY_CLUSTER)
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_for_the_occasion_is_as_closed(tmp_path: Path) -> None:
    (tmp_path / "planted.py").touch()  # in a data set that is the current folder
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(CLUSTER)],
        cwd=tmp_path,
        env=without_ray(RAY_AUTH_MODE="disabled", HOME=str(tmp_path), RECOMMENDER_HOME="h"),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    lines = done.stdout.split("\n")
    assert {line for line in lines if line.startswith("listens")} == {"listens 127.0.0.1"}, done.stderr
    assert {f"home {tmp_path / 'h'}", "restored h"} <= set(lines), (
        done.stdout
    )  # a relative one, of two folders
    assert {"open False", "left False", "clusters True", "planted None"} <= set(lines), done.stdout
