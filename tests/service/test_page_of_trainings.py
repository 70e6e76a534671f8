"""The pages of trainings and sweeps: all of them are reached, whatever became of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.service.kit import Service
from tests.test_request_digests import SWEEP


def an_asked_sweep(service: Service, number: int) -> str:
    """The address of a sweep that waits."""
    job, _ = service.store.jobs.create(
        kind="sweep",
        owner="ada",
        key=f"many-{number}",
        body_digests=(f"digest-{number}",),
        cluster="local",
        spec=SWEEP,
    )
    return f"/sweeps/{job.id}"


def test_every_sweep_is_reached_from_the_page_of_trainings(service: Service) -> None:
    def links(page: str) -> list[str]:
        return re.findall(r'href="(/sweeps/[\w-]+)"', page)

    asked = {an_asked_sweep(service, number) for number in range(13)}
    first = service.get("/trainings").text
    assert len(links(first)) == 10
    assert 'href="/sweeps"' in first
    found: list[str] = []
    following: str | None = ""
    while following is not None:
        page = service.get(f"/sweeps?limit=5{following}").text
        found += links(page)
        link = re.search(r'href="\?(cursor=[^"]+)"', page)
        following = f"&{link[1]}" if link else None
    assert asked <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.slow
def test_a_failed_training_stays_listed_with_data_set_and_start(service: Service, small_zip: Path) -> None:
    held = service.upload(small_zip).json()
    body = {"dataset": held["id"], "start": "coco-yolo11n:full", "epochs": 3, "imgsz": 64}
    job = service.post("/v1/trainings", json=body).json()["id"]
    service.store.launches.finish(job, 1, status="failed", error="The disk is full.")
    service.delete(f"/v1/datasets/{held['id']}")
    row = next(part for part in service.get("/trainings").text.split("<tr>") if job in part)
    for text in (held["name"], "coco-yolo11n:full", '<span class="status failed">', "The disk is full."):
        assert text in row
