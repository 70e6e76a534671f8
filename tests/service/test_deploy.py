"""The settings in deploy/ agree with the service."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from service.settings import ServiceSettings
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
KNOWN = {f"RECOMMENDER_SERVICE_{name.upper()}" for name in ServiceSettings.model_fields}


def documents() -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all((DEPLOY / "kuberay-service.yaml").read_text()) if found]


def container() -> dict[str, Any]:
    [deployment] = [found for found in documents() if found["kind"] == "Deployment"]
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("name", ["Containerfile", "kuberay-service.yaml", "recommender.service"])
def test_every_setting_named_exists(name: str) -> None:
    found = set(re.findall(r"RECOMMENDER_SERVICE_[A-Z_]+", (DEPLOY / name).read_text()))
    assert found <= KNOWN


def test_every_setting_of_the_guide_exists() -> None:
    table = (ROOT / "docs" / "http.md").read_text("utf-8").split("| setting")[1].split("\n\n")[0]
    named = {f"RECOMMENDER_SERVICE_{name}" for name in re.findall(r"`([A-Z_]{4,})`", table)}
    assert named
    assert named <= KNOWN


def test_the_pod_would_start_and_be_probed_under_a_known_name(monkeypatch: pytest.MonkeyPatch) -> None:
    container_file = (DEPLOY / "Containerfile").read_text()
    given = dict(
        re.findall(r"(RECOMMENDER_SERVICE_[A-Z_]+)=(\S+)", container_file.split("ENV ")[1].split("\n#")[0])
    )
    given |= {entry["name"]: entry["value"] for entry in container()["env"] if "value" in entry}
    for name, value in given.items():
        if name.startswith("RECOMMENDER_SERVICE_"):
            monkeypatch.setenv(name, value)
    settings = ServiceSettings()
    settings.check()
    assert settings.public
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        request = container()[probe]["httpGet"]
        assert request["httpHeaders"][0]["value"] in settings.hosts
        assert request["path"] in ("/healthz", "/readyz")


def test_the_pod_has_no_privileges() -> None:
    context = container()["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"]["drop"] == ["ALL"]


def test_a_container_is_started_with_memory_for_data_loading() -> None:
    """Without it a container has 64 MB of /dev/shm, and a training on a GPU ends in a bus error."""
    assert "--shm-size=2g" in (DEPLOY / "Containerfile").read_text().split("podman run")[1].split("\n# ")[0]
    assert "--shm-size=2g" in (ROOT / "docs" / "cluster.md").read_text("utf-8")
