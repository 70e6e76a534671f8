"""The page as it leaves the server: escaped, without inline script, usable without a mouse. Row H9."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from recommender.store.service_records import RegisteredDataset
from service.auth import COOKIE, caller_of_key, open_session
from service.page_templates import STATIC
from service.web.actions import num_trials
from tests.checkpoints.kit import random_model, save_ultralytics
from tests.service.kit import Service
from tests.service.test_recommendations import DOCUMENT
from tests.store.builders import recommendation_job, registered_dataset
from tests.store.builders import run as stored_run

HOSTILE = "<script>alert(1)</script>\n\x1b[31m\u202e\"'><img src=x onerror=alert(1)>"
OWN = {"Origin": "http://127.0.0.1"}
INTERVAL = {"mean": 0.5, "low": 0.4, "high": 0.6, "level": 0.8}


class Page(HTMLParser):
    """The parts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


QUANTILES = ("boxes_per_image", "box_sizes", "box_sides", "image_widths", "image_heights")


@pytest.fixture(scope="module")
def hostile(service: Service) -> Iterator[RegisteredDataset]:
    """A data set and an answer in which every name is hostile."""
    health = {
        "healthy": False,
        "num_duplicates": 0,
        "num_leaks": 0,
        "copies": [],
        "dataset": {
            "name": HOSTILE,
            "format": "yolo",
            "hash": "hostile",
            "classes": [HOSTILE],
            "split_origin": "given",
            "images": {"train": 1, "val": 1},
            "boxes": {"train": 3, "val": 0},
        },
        "splits": [
            {
                "split": "train",
                "num_images": 1,
                "num_boxes": 3,
                "num_background": 0,
                "class_counts": [3],
                **{f"{name}_Q": [1, 1, 1, 1, 1] for name in QUANTILES},
            }
        ],
        "defects": [
            {"kind": "x", "severity": "warning", "count": 1, "examples": [HOSTILE], "remedy": HOSTILE}
        ],
    }
    held = registered_dataset(
        "ds_hostile",
        name=HOSTILE,
        dataset_hash="hostile",
        origin="path",
        path="/nowhere",
        class_names=(HOSTILE,),
        health=json.dumps(health),
    )
    service.store.datasets.add(held)
    row: dict[str, Any] = {
        "rank": 1,
        "checkpoint": HOSTILE,
        "mode": "full",
        "score": INTERVAL,
        "p_best": 0.5,
        "gain_over_scratch": INTERVAL,
        "evidence": {"similarity": 0.5, "nearest_sources": [HOSTILE]},
        "reasons": [HOSTILE] * 4,
        "available": True,
    }
    notice = {"code": HOSTILE, "message": HOSTILE}
    document = DOCUMENT | {"ranking": [row], "warnings": [notice], "method": HOSTILE, "command": HOSTILE}
    service.store.recommendations.add(
        recommendation_job(
            "rec_hostile", dataset_id=held.id, status="succeeded", document=json.dumps(document)
        )
    )
    yield held
    service.store.datasets.remove(held.id)


@pytest.mark.parametrize("path", ["/", "/datasets/ds_hostile", "/recommendations/rec_hostile"])
def test_hostile_names_are_shown_and_nothing_more(
    service: Service, hostile: RegisteredDataset, path: str
) -> None:
    answer = service.get(path)
    assert answer.status_code == 200
    page = Page(answer.text)
    assert "alert(1)" in "".join(page.said)  # it is shown, as text
    assert all(script.get("src", "").startswith("/static/") for script in page.all("script"))  # type: ignore[union-attr]
    assert not [image for image in page.all("img") if image.get("src") == "x"]
    assert "\x1b" not in answer.text
    assert "\u202e" not in answer.text


def test_hostile_names_in_the_api_and_its_headers(service: Service, hostile: RegisteredDataset) -> None:
    answer = service.get("/v1/datasets/ds_hostile")
    assert answer.json()["name"] == HOSTILE  # data stays what it is
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def pages(service: Service) -> list[str]:
    return [
        "/",
        "/trainings",
        "/runs",
        "/checkpoints",
        "/docs",
        "/datasets/ds_hostile",
        "/recommendations/rec_hostile",
    ]


@pytest.mark.slow
def test_no_page_has_inline_script_or_style_or_anything_from_elsewhere(
    service: Service, hostile: RegisteredDataset
) -> None:
    for path in [*pages(service), "/login"]:
        answer = service.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for tag, attributes in Page(answer.text).tags:
            assert "style" not in attributes, (path, tag)
            assert not [name for name in attributes if name.startswith("on")], (path, tag)
            for name in ("src", "href", "action"):
                value = attributes.get(name) or ""
                assert not re.match(r"(?i)(https?:)?//|javascript:|data:", value), (path, tag, value)
            assert tag != "style"


def test_every_asset_is_shipped_and_typed(service: Service) -> None:
    kinds = {".css": "text/css", ".js": "javascript", ".svg": "image/svg+xml"}
    files = [file for file in STATIC.iterdir() if file.is_file()]
    assert {file.suffix for file in files} == set(kinds)
    for file in files:
        answer = service.client.get(f"/static/{file.name}")
        assert answer.status_code == 200
        assert kinds[file.suffix] in answer.headers["content-type"]
        assert not re.search(r"https?://(?!www\.w3\.org/)", file.read_text())
    assert service.client.get("/static/../app.py").status_code in (401, 404)
    assert service.client.get("/static/%2e%2e/app.py").status_code in (401, 404)


def test_pages_can_be_used_by_ear_and_keyboard(service: Service, hostile: RegisteredDataset) -> None:
    for path in [*pages(service), "/login"]:
        page = Page(service.get(path).text)
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("h1")) == 1, path
        assert len(page.all("main")) == 1
        assert {"class": "skip", "href": "#main"} in page.all("a")
        labelled = {label.get("for") for label in page.all("label")}
        for tag in ("input", "select", "progress"):
            for field in page.all(tag):
                named = (
                    field.get("id") in labelled or field.get("aria-label") or field.get("type") == "hidden"
                )
                assert named, (path, tag, field)
        for image in page.all("img"):
            assert image.get("alt") is not None, (path, image)
        for picture in page.all("svg"):
            described = picture.get("aria-label") or picture.get("aria-labelledby")
            assert described or picture.get("aria-hidden") == "true", (path, picture)
        for cell in page.all("th"):
            assert cell.get("scope") in ("col", "row"), path
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids)), path


@pytest.mark.slow
def test_forms_work_without_script(service: Service, small_zip: Path) -> None:
    with small_zip.open("rb") as file:
        answer = service.post("/upload", headers=OWN, files={"file": ("shapes.zip", file)})
    assert answer.status_code == 303
    address = answer.headers["location"]
    assert service.get(address).status_code == 200
    asked = service.post(f"{address}/ask", headers=OWN, data={"epochs": "5", "imgsz": "64"})
    assert asked.status_code == 303
    waiting = service.get(asked.headers["location"])
    assert "data-follow" in waiting.text
    assert service.post(f"{asked.headers['location']}/cancel", headers=OWN).status_code == 303
    assert service.post(f"{address}/ask", headers=OWN, data={"epochs": "x", "imgsz": "64"}).status_code == 422


@pytest.mark.slow
def test_the_trials_form_asks_for_the_first_starts(service: Service, small_zip: Path) -> None:
    held = service.upload(small_zip).json()["id"]
    rows = [
        {
            "rank": i,
            "checkpoint": name,
            "mode": mode,
            "score": INTERVAL,
            "p_best": 0.5,
            "gain_over_scratch": INTERVAL,
            "evidence": {},
            "reasons": [],
            "available": True,
        }
        for i, (name, mode) in enumerate((("coco-yolo11n", "full"), ("scratch", "scratch")), 1)
    ]
    ask = recommendation_job(
        "rec_try", dataset_id=held, status="succeeded", document=json.dumps(DOCUMENT | {"ranking": rows})
    )
    service.store.recommendations.add(replace(ask, question=json.dumps({"epochs": 50, "imgsz": 96})))
    assert "2 starts, 2 trainings</option>" in service.get("/recommendations/rec_try").text
    form = {"top": "2", "epochs": "3", "budget": "10m", "token": "t"}
    for wrong in ({"budget": "much"}, {"axes": "size"}):
        assert service.post("/recommendations/rec_try/try", data=form | wrong).status_code == 422
    first = service.post("/recommendations/rec_try/try", data=form)
    assert first.status_code == 303, first.text
    again = service.post("/recommendations/rec_try/try", data=form)
    assert again.headers["location"] == first.headers["location"]  # a double click is one sweep
    sweep = service.get(f"/v1{first.headers['location']}").json()
    assert (sweep["status"], sweep["budget"]) == ("queued", "10m")
    assert service.get(first.headers["location"]).status_code == 200
    service.store.launches.finish(first.headers["location"].rpartition("/")[2], 1, status="succeeded")
    assert f'rank the starts again, which takes the trials into account: <a href="/datasets/{held}">' in (
        service.get(first.headers["location"]).text
    )
    train = {"rank": "2", "token": "t"}
    launched = [service.post("/recommendations/rec_try/train", data=train) for _ in range(2)]
    assert len({answer.headers["location"] for answer in launched}) == 1
    assert service.post("/recommendations/rec_try/train", data={"rank": "9", "token": "t"}).status_code == 404
    assert service.post(f"{first.headers['location']}/cancel").status_code == 303
    assert service.post(f"{launched[0].headers['location']}/cancel").status_code == 303


def test_the_trials_form_counts_each_checkpoint_in_each_mode() -> None:
    starts = (("a", "full"), ("b", "freeze"), ("c", "full"), ("scratch", "scratch"))
    rows = [{"checkpoint": name, "mode": mode, "available": name != "c"} for name, mode in starts]
    asked = recommendation_job("rec_count", document=json.dumps({"ranking": rows}))
    assert [num_trials(asked, top) for top in (1, 2, 3, 8)] == [1, 4, 5, 5]


def test_errors_are_pages_for_people_and_documents_for_programs(service: Service) -> None:
    people = service.get("/datasets/none", headers={"Accept": "text/html"})
    assert people.status_code == 404
    assert people.headers["content-type"].startswith("text/html")
    assert "There is no data set" in people.text
    programs = service.get("/v1/datasets/none", headers={"Accept": "text/html"})
    assert programs.headers["content-type"] == "application/problem+json"
    anonymous = service.client.get("/", headers={"Accept": "text/html"})
    assert anonymous.status_code == 401
    assert 'name="key"' in anonymous.text


def an_added_checkpoint(service: Service, weights: Path, **fields: str) -> Any:
    """Send the page's form as a browser does, empty fields included."""
    form = {"name": "", "dataset": "", "licence": "", "from_scratch": "false"} | fields
    with weights.open("rb") as file:
        return service.post("/checkpoints/add", headers=OWN, data=form, files={"file": ("best.pt", file)})


@pytest.mark.slow
def test_weights_are_added_by_a_form_and_linked_to_their_data(
    service: Service, small_zip: Path, nano_pt: Path
) -> None:
    held = service.upload(small_zip).json()
    form = Page(service.get("/checkpoints").text)
    assert held["id"] in [option.get("value") for option in form.all("option")]
    added = an_added_checkpoint(service, nano_pt, name="by-form", dataset=held["id"], licence="MIT")
    assert added.status_code == 303, added.text
    assert (
        f"by-form</strong> was added, trained on {held['name']}"
        in service.get(added.headers["location"]).text
    )
    known = service.get("/v1/checkpoints/by-form").json()
    assert (known["source"], known["source_hash"], known["licence"]) == (held["name"], held["hash"], "MIT")
    assert an_added_checkpoint(service, nano_pt, name="by-form").status_code == 409


@pytest.mark.slow
def test_weights_may_be_linked_to_no_data_and_never_to_another_owners(
    service: Service, small_zip: Path, tmp_path: Path
) -> None:
    weights = save_ultralytics(tmp_path / "best.pt", random_model(seed=7))  # of no network that is known
    of_bob = service.upload(small_zip, service.bob).json()["id"]
    assert of_bob not in service.get("/checkpoints").text
    assert an_added_checkpoint(service, weights, name="not-mine", dataset=of_bob).status_code == 404
    assert service.get("/v1/checkpoints/not-mine").status_code == 404
    alone = an_added_checkpoint(service, weights, name="without-data")
    assert (
        "without-data</strong> was added, without a data set" in service.get(alone.headers["location"]).text
    )
    assert service.get("/v1/checkpoints/without-data").json()["source"] is None


@pytest.mark.slow
def test_what_is_no_checkpoint_is_refused_in_words(service: Service, tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"not weights")
    refused = an_added_checkpoint(service, tmp_path / "best.pt", name="broken")
    assert refused.status_code == 422
    assert service.get("/v1/checkpoints/broken").status_code == 404


def test_checkpoints_come_page_by_page(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the first page they were not shown, nor was it said."""
    monkeypatch.setattr("service.web.pages.MAX_PAGE", 60)
    found: list[str] = []
    address: str | None = ""
    while address is not None:
        text = service.get(f"/checkpoints{address}").text
        found += re.findall('<th scope="row">([^<]+)</th>', text)
        address = next((link["href"] for link in Page(text).all("a") if link.get("rel") == "next"), None)
    listed = service.get("/v1/checkpoints?limit=500").json()["checkpoints"]
    assert len(listed) > 60
    assert found == [one["name"] for one in listed]


def test_readers_are_offered_no_form_that_would_refuse_them(service: Service) -> None:
    service.store.datasets.add(registered_dataset("ds_read"))
    for path in ("/checkpoints", "/", "/datasets/ds_read"):
        forms = Page(service.get(path, service.reader).text).all("form")
        assert [form["action"] for form in forms] == ["/logout"], path


def test_an_administrator_ignores_a_run_lets_it_back_in_and_forgets_it(service: Service) -> None:
    run = stored_run("shared-run")
    service.store.runs.add(run)

    def change(action: str, **form: str) -> None:
        answer = service.post(f"/runs/{run.id}/{action}", service.admin, headers=OWN, data=form)
        assert answer.status_code == 303, answer.text

    change("ignore", ignored="true")
    assert run.id in service.store.runs.ignored()
    shown = Page(service.get(f"/runs/{run.id}", service.admin).text)
    assert "This run is ignored" in "".join(shown.said)
    assert all(form.get("data-confirm") for form in shown.all("form") if "/runs/" in (form["action"] or ""))
    assert '<span class="status ignored">' in service.get("/runs").text
    change("ignore", ignored="false")
    assert run.id not in service.store.runs.ignored()
    assert "This run is ignored" not in service.get(f"/runs/{run.id}", service.admin).text
    change("remove")
    assert service.get(f"/runs/{run.id}", service.admin).status_code == 404
    assert service.post(f"/runs/{run.id}/remove", service.admin, headers=OWN).status_code == 404


@pytest.mark.parametrize("action", ["ignore", "remove"])
def test_nobody_else_changes_the_history_that_all_share(service: Service, action: str) -> None:
    run = stored_run("kept-run")
    service.store.runs.add(run)
    for key in (service.ada, service.reader):
        assert f"/runs/{run.id}/{action}" not in service.get(f"/runs/{run.id}", key).text
        answer = service.post(f"/runs/{run.id}/{action}", key, headers=OWN, data={"ignored": "true"})
        assert answer.status_code == 403
    assert service.store.runs.get(run.id) is not None
    assert run.id not in service.store.runs.ignored()


@pytest.mark.parametrize("path", ["/checkpoints/add", "/runs/kept-run/ignore", "/runs/kept-run/remove"])
def test_forms_of_other_sites_change_nothing(service: Service, path: str) -> None:
    cookie = open_session(service.store, caller_of_key(service.store, service.admin), hours=1)  # type: ignore[arg-type]
    for headers in ({}, {"Origin": "https://elsewhere.example"}):
        answer = service.client.post(path, headers={"Cookie": f"{COOKIE}={cookie}", **headers})
        assert answer.status_code == 403


def test_the_history_shows_size_share_of_images_and_seed(service: Service) -> None:
    run = stored_run("small-share")
    recipe = replace(run.recipe, imgsz=416, fraction=0.25, seed=1234)
    service.store.runs.add(replace(run, recipe=recipe))
    row = next(part for part in service.get("/runs").text.split("<tr>") if "/runs/small-share" in part)
    for label, value in (("Size, px", "416"), ("Images used", "25%"), ("Seed", "1234")):
        assert f'<td data-label="{label}">{value}</td>' in row
    assert "25% of the training images · seed 1234" in service.get("/runs/small-share").text
    assert service.get("/v1/runs/small-share").json()["fraction"] == 0.25
