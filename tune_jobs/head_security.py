"""Checks of who may run code on a Ray cluster: tokens, and heads that ask for none."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from recommender.errors import UnavailableError, UsageError

PROBE_TIMEOUT_S = 5.0
CLIENT_SCHEME = "ray://"


def ensure_token() -> None:
    """Make clusters of our own ask for a token, whatever RAY_AUTH_MODE was before.

    Without a token any user of this machine runs code as us. One of our own making lives in this process's
    environment only and is inherited by Ray's processes; one that the user has set is kept.
    """
    os.environ["RAY_AUTH_MODE"] = "token"
    if _own_token() is None:
        os.environ.pop("RAY_AUTH_TOKEN_PATH", None)
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    _refresh_ray()


def _refresh_ray() -> None:
    """Ray reads the mode and the token once; make it read them again if it has been imported before."""
    with contextlib.suppress(KeyError, AttributeError):  # not imported yet, or of another version
        raylet: Any = sys.modules["ray"]._raylet
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()


def require_token(address: str, *, allow_loopback: bool = True) -> None:
    """Refuse a head that would run anybody's code.

    `address` is `host:port`, `ray://host:port` or `http://host:port` of a head. With `allow_loopback` a head
    named by a loopback address may do without, for it was started here by hand.

    Raises UnavailableError when the head answers somebody without a token, or does not answer at all.
    """
    require_head(address)
    host, port = host_and_port(address)
    if allow_loopback and _resolves_to_loopback(host):
        return
    if is_open(address):
        raise UnavailableError(
            f"The Ray head at {host}:{port} asks for no token: whoever reaches it runs code there as its user.",
            remedy="Restart it with RAY_AUTH_MODE=token (see docs/cluster.md) and set the same token here.",
        )


def require_head(address: str) -> str:
    """The address of a head that answers: `address` itself, or what `auto` stands for on this machine.

    Raises UnavailableError where nobody listens.
    """
    if address != "auto":
        host, port = host_and_port(address)
        if _answers(host, port):
            return address
        raise UnavailableError(
            f"No Ray head answers at {host}:{port}.",
            remedy="Check the address and that `ray start --head` runs there; `ray status` tells.",
        )
    head = current_head()
    if head is None:
        raise UnavailableError(
            "--address auto: no Ray cluster runs on this machine.",
            remedy="Start one by `ray start --head`, name its address, or leave --address out for one of our own.",
        )
    host, port = host_and_port(head)
    if not _answers(host, port):
        raise UnavailableError(
            f"--address auto stands for {head}, and nothing answers there: that cluster has ended.",
            remedy="Start it again by `ray start --head`, or leave --address out for one of our own.",
        )
    return head


def current_head() -> str | None:
    """The head that `auto` means on this machine: RAY_ADDRESS, one that runs here, or the last one recorded."""
    from ray._private import services, utils

    named = os.environ.get("RAY_ADDRESS", "")
    if named not in ("", "auto", "local"):
        return named
    running = sorted(services.find_gcs_addresses())
    recorded: str | None = utils.read_ray_address() or None
    return recorded if not running or recorded in running else str(running[0])


def require_entrance(address: str) -> None:
    """Refuse at once where Ray itself would try for half a minute: the head asks for a token and ours is not it.

    Raises UnavailableError, for something else than a head too.
    """
    said = _ask(address, None)
    if said == "refused":
        said = _ask(address, _own_token())
    if said == "nothing":
        host, port = host_and_port(address)
        raise UnavailableError(
            f"What listens at {host}:{port} does not answer as a Ray head does.",
            remedy="Check the port: the head's is often 6379, that for ray:// 10001; `ray status` tells.",
        )
    if said == "refused":
        have = _lack_of_token() or "the one set here is not it"
        raise UnavailableError(
            f"The Ray cluster at {address!r} asks for a token, and {have}.",
            remedy="Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH as on its head.",
        )


def is_open(address: str) -> bool:
    """True if the head answers a question that comes without a token."""
    if address.startswith(("http://", "https://")):
        return _http_is_open(address)
    return _ask(address, None) == "answered"


def _ask(address: str, token: str | None) -> Literal["answered", "refused", "nothing"]:
    """Ask for something harmless. "refused": for want of the right token; a head that speaks TLS says nothing."""
    import grpc
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc, ray_client_pb2, ray_client_pb2_grpc

    host, port = host_and_port(address)
    options: dict[str, Any] = {"timeout": PROBE_TIMEOUT_S}
    if token is not None:
        options["metadata"] = [("authorization", f"Bearer {token}")]
    # Ray itself goes round proxies; through one, an open head would seem to refuse.
    with grpc.insecure_channel(f"{host}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            if address.startswith(CLIENT_SCHEME):
                ping = ray_client_pb2.ClusterInfoRequest(type=ray_client_pb2.ClusterInfoType.PING)
                ray_client_pb2_grpc.RayletDriverStub(channel).ClusterInfo(ping, **options)
            else:
                service = gcs_service_pb2_grpc.InternalKVGcsServiceStub(channel)
                service.InternalKVKeys(gcs_service_pb2.InternalKVKeysRequest(prefix=b"probe"), **options)
        except grpc.RpcError as error:
            denied = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
            return "refused" if error.code() in denied else "nothing"
    return "answered"


def _own_token() -> str | None:
    """The token Ray would send from this process."""
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token.strip()
    try:
        return _token_file().read_text("utf-8").strip() or None
    except (OSError, ValueError):
        return None


def _lack_of_token() -> str | None:
    """The reason why Ray would send no token from this process; None where it would."""
    if _own_token() is not None:
        return None
    try:
        _token_file().read_bytes()
    except FileNotFoundError:
        pass
    except OSError as error:
        return f"{_token_file()} cannot be read: {error.strerror}"
    return "none is set here"


def _token_file() -> Path:
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def is_loopback(address: str) -> bool:
    """True if the host of an address is this machine's loopback and nothing else."""
    return _resolves_to_loopback(host_and_port(address)[0])


def host_and_port(address: str) -> tuple[str, int]:
    """The two parts of a head's address, whatever its scheme. Raises UsageError where it has not got both."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        if parts.hostname and parts.port:
            return parts.hostname, parts.port
    except ValueError:  # a port that is no number
        pass
    raise UsageError(
        f"Ray address {address!r} is not understood.",
        remedy="Give auto, host:port (often port 6379), or ray://host:10001.",
    )


def _resolves_to_loopback(host: str) -> bool:
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(ip).split("%")[0]).is_loopback for ip in found)


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False


def _http_is_open(address: str) -> bool:
    import urllib.error
    import urllib.request

    around = urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(*([around] if is_loopback(address) else []))
    try:
        # The scheme was checked by the caller: http or https only.
        with opener.open(f"{address.rstrip('/')}/api/jobs/", timeout=PROBE_TIMEOUT_S) as response:
            return bool(response.status < 400)
    except (urllib.error.URLError, OSError):
        return False
