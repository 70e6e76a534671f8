"""Settings: `RECOMMENDER_SERVICE_*` variables, overridden by the flags of `recommend serve`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from recommender.errors import UsageError
from recommender.home import expanded
from tune_jobs.sweep.compute_budget import ComputeBudget

MB = 2**20
MAX_PROXY_ADDRESSES = 256
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
Names = Annotated[tuple[str, ...], NoDecode]


class ServiceSettings(BaseSettings):
    """One object for the whole service. Lists in variables are separated by commas."""

    model_config = SettingsConfigDict(env_prefix="RECOMMENDER_SERVICE_", extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    behind_tls_proxy: bool = Field(default=False, description="A proxy in front speaks HTTPS to the world.")
    allowed_hosts: Names = Field(default=(), description="Host names under which people reach the service.")
    trusted_proxies: Names = Field(
        default=("127.0.0.1", "::1"), description="Whose X-Forwarded-* are believed."
    )

    dataset_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description='Folders from which {"path": …} may be used.'
    )
    max_upload_mb: int = Field(default=2048, ge=1)
    max_held_mb: int = Field(default=20_480, ge=1, description="Uploads one owner may keep.")
    max_body_kb: int = Field(default=256, ge=1, description="Any body that is no upload.")

    head_timeout_s: float = Field(default=10.0, gt=0, description="For a request's line and headers.")
    write_timeout_s: float = Field(
        default=60.0, gt=0, description="For a client that has stopped reading its response."
    )
    keep_alive_s: int = Field(
        default=75, ge=1, description="For a connection between two requests; longer than any proxy's."
    )
    body_idle_timeout_s: float = Field(default=20.0, gt=0, description="Between two pieces of a body.")
    min_upload_kb_per_s: float = Field(default=16.0, ge=0)
    shutdown_s: int = Field(
        default=10, ge=0, description="For requests under way when the service is stopped."
    )

    requests_per_s: float = Field(default=150.0, gt=0, description="Per key; as many at once.")
    costly_per_minute: float = Field(
        default=120.0, gt=0, description="Uploads, questions and launches, per key."
    )
    attempts_per_minute: float = Field(default=600.0, gt=0, description="Wrong keys, per address.")
    max_followers: int = Field(default=200, ge=1, description="Open event streams, together.")
    max_waiting: int = Field(default=100, ge=1, description="Questions one owner may have in the queue.")

    min_free_mb: int = Field(
        default=256, ge=0, description="Free space of the home's disk; below it, not ready."
    )
    max_trainings: int = Field(default=20, ge=1, description="Trainings one owner may have under way.")
    max_epochs: int = Field(default=1000, ge=1, description="Epochs of one training or trial.")
    max_imgsz: int = Field(default=1536, ge=32, description="Image size of one training or trial, pixels.")
    max_checkpoints: int = Field(default=200, ge=1, description="Checkpoints one owner may keep.")

    workers: int = Field(default=1, ge=1, le=64, description="Processes that answer questions.")
    task_memory_mb: int = Field(
        default=3072, ge=1024, description="What one task of a worker may allocate; more is refused."
    )
    answer_wait_s: float = Field(
        default=15.0, ge=0, description="A known data set's answer is waited for this long."
    )
    answer_timeout_s: float = Field(default=3600.0, gt=0)
    open_timeout_s: float = Field(default=900.0, gt=0, description="For reading an uploaded data set.")

    ray_address: str | None = Field(
        default=None, description="Cluster for trainings; None starts a local one."
    )
    launcher: bool = Field(
        default=True, description="Keep a launcher beside it; off where one runs elsewhere."
    )
    storage: str | None = Field(default=None, description="Where trainings leave their artefacts.")
    max_budget: str = Field(default="24h", description="The largest budget a sweep may ask for.")
    max_sweeps: int = Field(default=2, ge=1, description="Sweeps one owner may have under way.")
    session_hours: float = Field(default=12.0, gt=0)

    @field_validator("allowed_hosts", "trusted_proxies", "dataset_roots", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("dataset_roots")
    @classmethod
    def _resolved(cls, roots: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(expanded(root).resolve() for root in roots)

    @field_validator("storage", "ray_address")
    @classmethod
    def _none_where_empty(cls, value: str | None) -> str | None:
        """Files of variables set to nothing what they leave at its default."""
        return value or None

    @field_validator("storage")
    @classmethod
    def _absolute(cls, storage: str | None) -> str | None:
        """The launcher runs in a folder of its own."""
        return storage if storage is None or "://" in storage else str(expanded(storage).absolute())

    @property
    def public(self) -> bool:
        """True when other machines can reach the address that the service binds."""
        if self.host in LOOPBACK_NAMES:
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    @property
    def hosts(self) -> frozenset[str]:
        """Host names that a request may carry."""
        own = () if self.public else (*LOOPBACK_NAMES, self.host)
        return frozenset(name.lower() for name in (*self.allowed_hosts, *own))

    def check(self) -> None:
        """Raise UsageError for settings under which the service must not start."""
        if self.public and not self.behind_tls_proxy:
            raise UsageError(
                f"The service would listen on {self.host} without TLS, where keys travel in the clear.",
                remedy="Put a TLS proxy in front and say so with --behind-tls-proxy, or keep --host 127.0.0.1.",
            )
        if self.public and not self.allowed_hosts:
            raise UsageError(
                f"The service would listen on {self.host} for any host name, which lets other sites reach it.",
                remedy="Name the public host with --allowed-host recommender.example.org.",
            )
        if any("*" in name for name in self.allowed_hosts):
            raise UsageError(
                "An allowed host has a wildcard, which lets other sites reach the service.",
                remedy="Name each host in full: --allowed-host recommender.example.org.",
            )
        for proxy in self.trusted_proxies:
            if _num_addresses(proxy) > MAX_PROXY_ADDRESSES:
                raise UsageError(
                    f"The trusted proxies {proxy} are more than {MAX_PROXY_ADDRESSES} addresses: whoever has one of "
                    "them could claim any address and scheme.",
                    remedy="Name the proxies themselves, or none: the service works without their headers.",
                )
        ComputeBudget.parse(self.max_budget)
        for root in self.dataset_roots:
            if not root.is_dir():
                raise UsageError(
                    f"The data set folder {root} does not exist.", remedy="Create it or leave it out."
                )


def _num_addresses(proxy: str) -> float:
    """The number of addresses in an entry of `trusted_proxies`; a name is one, "*" is all."""
    if proxy == "*":
        return float("inf")
    try:
        return ipaddress.ip_network(proxy, strict=False).num_addresses
    except ValueError:
        return 1
