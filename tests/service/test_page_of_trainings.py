"""The pages of trainings and sweeps: all of them are reached, whatever became of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.service.kit import Service
from tests.store.builders import run as stored_run
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
    for page in asked:
        service.store.launches.finish(page.rpartition("/")[2], 1, status="cancelled")


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


def an_ended_job(service: Service, archive: Path, path: str, body: dict[str, Any]) -> tuple[str, str]:
    """The page of a job that was asked for and cancelled, and its data set."""
    held = service.upload(archive).json()["id"]
    named = {"datasets": [held]} if path == "sweeps" else {"dataset": held}
    job = service.post(f"/v1/{path}", json={**named, **body}).json()["id"]
    assert "/again" not in service.get(f"/{path}/{job}").text
    assert service.post(f"/{path}/{job}/again", data={"token": "t"}).status_code == 409  # it has not ended
    service.store.launches.finish(job, 1, status="cancelled")
    return f"/{path}/{job}", held


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("sweeps", {"checkpoints": ["scratch"], "epochs": 2, "imgsz": 64, "budget": "10m"}),
        ("trainings", {"start": "coco-yolo11n:full", "epochs": 3, "imgsz": 64}),
    ],
)
@pytest.mark.slow
def test_what_was_cancelled_is_gone_on_with_from_its_page(
    service: Service, small_zip: Path, path: str, body: dict[str, Any]
) -> None:
    page, held = an_ended_job(service, small_zip, path, body)
    assert f'action="{page}/again"' in service.get(page).text
    assert f'action="{page}/again"' not in service.get(page, service.reader).text
    assert service.post(f"{page}/again", service.bob, data={"token": "t"}).status_code == 404
    first, second = (service.post(f"{page}/again", data={"token": "t"}) for _ in range(2))
    assert first.status_code == 303
    assert first.headers["location"] == second.headers["location"] != page  # a double click is one launch
    before, again = (service.get(f"/v1{place}").json() for place in (page, first.headers["location"]))
    assert again["status"] == "queued"
    for field in ("epochs", "imgsz"):
        assert again[field] == before[field]
    service.store.launches.finish(first.headers["location"].rpartition("/")[2], 1, status="cancelled")
    service.delete(f"/v1/datasets/{held}")
    assert "/again" not in service.get(page).text
    assert service.post(f"{page}/again", data={"token": "u"}).status_code == 404


def test_trials_are_shown_without_script(service: Service) -> None:
    page = an_asked_sweep(service, 99)
    trial = {
        "id": "t1",
        "start": "coco:full",
        "target": "signs",
        "fraction": 0.5,
        "state": "running",
        "reused": False,
    }
    for epoch, best in ((1, 0.1), (2, 0.25)):
        told = trial | {"epoch": epoch, "epochs": 3, "score": best, "best": best}
        service.store.launches.add_event(page.rpartition("/")[2], 1, "trial", told)
    rows = service.get(page).text.partition('<tbody id="trials">')[2].partition("</tbody>")[0]
    assert rows.count("<tr>") == 1
    for text in ("coco:full", "signs (50% of the images)", "2 of 3", "0.250"):
        assert text in rows


def test_runs_chosen_in_the_history_are_compared(service: Service) -> None:
    for number, (score, target) in enumerate(((0.3, "one"), (0.5, "one"), (0.4, "two"))):
        service.store.runs.add(stored_run(f"side-{number}", target=target, score=score))
    page = service.get("/runs").text
    assert page.count('name="id" value="side-') == 3
    assert 'action="/runs/compare"' in page
    both = service.get("/runs/compare?id=side-0&id=side-1").text
    assert both.index("0.500") < both.index("0.300")  # the best first
    assert "differ in" not in both
    assert "differ in data set" in service.get("/runs/compare?id=side-0&id=side-2").text
    for query, status in (
        ("", 422),
        ("?id=side-0", 422),
        ("?id=side-0&id=none", 404),
        ("?" + "&id=a" * 9, 422),
    ):
        assert service.get(f"/runs/compare{query}").status_code == status
