"""The cluster as launchers see it: Ray's job server, over HTTP."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from recommender.errors import UnavailableError
from tune_jobs.local_environment import bypass_proxies

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

# "unstarted": the cluster gave up waiting for a free node; it may be asked again.
State = Literal["waiting", "running", "succeeded", "failed", "stopped", "unstarted"]
ANSWER_S = 30.0  # a busy server takes seconds
MAX_WORDS = 500  # characters of a job's last line
MAX_NODES = 10_000  # dead ones count; the most that Ray lists, which stops at 100 unless told
_NEVER_STARTED = ("START_TIMEOUT", "UNSCHEDULABLE", "failed to start within")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A program to run once on one node."""

    id: str
    command: Sequence[str]
    cpus: int = 1
    gpus: int | None = None  # None: one where the cluster has any
    environment: Mapping[str, str] = field(default_factory=dict)


class JobServer(Protocol):
    """Runs programs under ids that the caller chooses. Raises UnavailableError while it cannot be reached."""

    def submit(self, submission: Submission) -> None:
        """Run it, unless something was submitted under its id before: then nothing happens."""

    def state(self, id: str) -> State | None:
        """The state of the job; None when the cluster knows no such id."""

    def last_words(self, id: str) -> str | None:
        """The last line that a job which failed, or the cluster about it, has said; None where there is none."""

    def stop(self, id: str) -> None:
        """End it; no id of this name, or ended already, is fine."""


class RayJobs:
    """Ray's job server at `http://host:port`. Connects at the first call, and again after a loss."""

    def __init__(self, address: str, *, started_here: bool = False) -> None:
        self._address, self._started_here = address, started_here
        self._client: JobSubmissionClient | None = None

    def require_answer(self) -> None:
        """Raise UnavailableError where nothing answers as a job server does, within half a minute."""
        self._connected()

    def submit(self, submission: Submission) -> None:
        gpus = submission.gpus if submission.gpus is not None else min(1, self.total_gpus())
        try:
            self._connected().submit_job(
                submission_id=submission.id,
                entrypoint=shlex.join(submission.command),
                entrypoint_num_cpus=submission.cpus,
                entrypoint_num_gpus=gpus,
                runtime_env={"env_vars": dict(submission.environment)},
            )
        except (RuntimeError, ConnectionError, OSError) as error:
            if "already exists" in str(error):
                return
            raise self._unavailable(error) from error

    def state(self, id: str) -> State | None:
        info = self._info(id)
        if info is None:
            return None
        status = str(info.status)
        if status == "FAILED" and any(mark in f"{info.error_type} {info.message}" for mark in _NEVER_STARTED):
            return "unstarted"
        return _STATES[status]

    def last_words(self, id: str) -> str | None:
        info = self._info(id)
        lines = str(info.message or "").split("\n") if info else []  # Ray ends with the job's own last lines
        return next((line.strip()[:MAX_WORDS] for line in reversed(lines) if line.strip()), None)

    def _info(self, id: str) -> JobDetails | None:
        """The details that the cluster has of the job; None where it knows none of this id."""
        try:
            return self._connected().get_job_info(id)
        except (RuntimeError, ConnectionError, OSError) as error:
            if "does not exist" in str(error):
                return None
            raise self._unavailable(error) from error

    def stop(self, id: str) -> None:
        try:
            self._connected().stop_job(id)
        except (RuntimeError, ConnectionError, OSError) as error:
            if "does not exist" not in str(error):
                raise self._unavailable(error) from error

    def total_gpus(self) -> int:
        """GPUs of all nodes."""
        client: Any = self._connected()
        try:
            # Not the autoscaler's report: it comes seconds after the nodes, and a job that was given no GPU sees all.
            answer = client._do_request("GET", f"/api/v0/nodes?detail=1&limit={MAX_NODES}").json()
            nodes = answer["data"]["result"]["result"]
            return int(
                sum(node["resources_total"].get("GPU", 0) for node in nodes if node["state"] == "ALIVE")
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnavailableError(
                f"The job server at {self._address} does not tell how many GPUs its nodes have.",
                remedy="Name the number: --gpus 1, or --gpus 0 for processors.",
            ) from error
        except (RuntimeError, ConnectionError, OSError) as error:
            raise self._unavailable(error) from error

    def _connected(self) -> JobSubmissionClient:
        if self._client is None:
            bypass_proxies()
            try:
                self._client = _client_of(self._address)
            except (RuntimeError, ConnectionError, OSError) as error:
                raise self._unavailable(error) from error
        return self._client

    def _unavailable(self, error: Exception) -> UnavailableError:
        self._client = None
        reason = " ".join(str(error).split())[-300:].rstrip(".")
        if self._started_here:  # its user has neither set it up nor given it a token
            return UnavailableError(
                f"The Ray started on this machine does not answer: {reason}.",
                remedy="It is started anew by itself; if that goes on, free processor time or memory.",
            )
        return UnavailableError(
            f"The job server at {self._address} does not answer: {reason}.",
            remedy="Check that the Ray cluster runs and that its token is set; `recommend doctor` tests it.",
        )


def _client_of(address: str) -> JobSubmissionClient:
    """Ray's client, save that it does not wait for ever for a server that is frozen, or whose machine is gone."""
    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):  # type: ignore[misc]
        def _do_request(self, method: str, endpoint: str, **more: Any) -> Any:
            return super()._do_request(method, endpoint, **{"timeout": ANSWER_S, **more})

    return Client(address)


_STATES: dict[str, State] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "STOPPED": "stopped",
}
