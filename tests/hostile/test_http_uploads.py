"""Rows P1, P2, P3 and D1 to D4 through HTTP: hostile uploads are refused with 4xx, and nothing of them happens."""

from __future__ import annotations

import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.home import home
from service.uploads import uploads_folder
from tests.datagen import make_dataset, zip_of
from tests.hostile.bombs import Call, plant
from tests.hostile.test_datasets_archives import zeros_zip
from tests.hostile.test_datasets_bombs import alias_bomb, png_of
from tests.service.kit import Service, running, wait_until


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder that may be named by path."""
    folder = tmp_path_factory.mktemp("allowed")
    make_dataset(folder / "good", format="yolo")
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, roots: Path) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), dataset_roots=(roots,)) as made:
        yield made


def all_files() -> set[Path]:
    return {path for path in home().rglob("*") if path.is_file() and "launchers" not in path.parts}


def refuse(service: Service, archive: Path, *, status: tuple[int, ...] = (422,)) -> str:
    before = set(uploads_folder().iterdir())
    answer = service.upload(archive)
    assert answer.status_code in status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert str(home()) not in answer.text
    assert set(uploads_folder().iterdir()) == before
    return str(answer.json()["detail"])


def zip_with_yaml(folder: Path, text: str) -> Path:
    make_dataset(folder / "set", format="yolo")
    (folder / "set" / "data.yaml").write_text(text)
    return zip_of(folder / "set", folder / "set.zip")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["../../outside.png", "/tmp/outside.png", "a/../../outside.png", "..\\outside.png"]
)
def test_names_that_lead_out(service: Service, tmp_path: Path, name: str) -> None:
    archive = tmp_path / "slip.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(name, b"x")
    refuse(service, archive)
    assert not list(home().parent.glob("**/outside.png"))


def test_links_in_archives(service: Service, tmp_path: Path) -> None:
    archive = tmp_path / "link.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        entry = zipfile.ZipInfo("images/a.png")
        entry.external_attr = 0o120777 << 16
        packed.writestr(entry, "/etc/passwd")
    refuse(service, archive)


@pytest.mark.slow
def test_archive_bombs(service: Service, tmp_path: Path) -> None:
    zeros_zip(tmp_path / "bomb.zip")
    refuse(service, tmp_path / "bomb.zip")


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 broken", b"\x1f\x8b broken"])
def test_what_is_no_archive(service: Service, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    refuse(service, tmp_path / "x.zip")


def test_yaml_bombs(service: Service, tmp_path: Path) -> None:
    refuse(service, zip_with_yaml(tmp_path, alias_bomb()))


@pytest.mark.parametrize("path", ["/", "/etc", "..", "../../..", "~", "/proc/self"])
def test_descriptions_that_point_elsewhere(service: Service, tmp_path: Path, path: str) -> None:
    text = f"path: {path}\ntrain: etc\nval: etc\nnames: [a]\n"
    detail = refuse(service, zip_with_yaml(tmp_path, text))
    assert "root:" not in detail  # no content of a file outside


@pytest.mark.parametrize(
    "download",
    [
        "|\n  from pathlib import Path\n  Path({marker!r}).touch()",
        "touch {marker}",
        "https://127.0.0.1:9/x.zip",
    ],
)
def test_downloads_are_never_carried_out(service: Service, tmp_path: Path, download: str) -> None:
    marker = tmp_path / "marker"
    text = f"train: images/train\nval: images/none\nnames: [a]\ndownload: {download.format(marker=str(marker))}\n"
    refuse(service, zip_with_yaml(tmp_path, text))
    assert not marker.exists()


@pytest.mark.slow
def test_planted_caches_are_reported_and_never_loaded(service: Service, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    make_dataset(tmp_path / "set", format="yolo", seed=7)
    for split in ("train", "val"):
        (tmp_path / "set" / "labels" / f"{split}.cache").write_bytes(
            pickle.dumps(Call(os.system, f"touch {marker}"))
        )
    answer = service.upload(zip_of(tmp_path / "set", tmp_path / "set.zip"))
    assert answer.status_code == 201, answer.text
    address = f"/v1/datasets/{answer.json()['id']}"
    wait_until(lambda: service.get(address).json()["health"] is not None, 60)
    kinds = [defect["kind"] for defect in service.get(address).json()["health"]["defects"]]
    assert "planted_cache" in kinds
    assert not marker.exists()


@pytest.mark.slow
def test_names_of_another_encoding_are_read_and_break_no_list(service: Service, tmp_path: Path) -> None:
    """As packed where file names are Latin-1: every list that named such a class was an error from then on."""
    archive, picture = tmp_path / "set.tar", tmp_path / "picture.png"
    with tarfile.open(archive, "w", encoding="latin-1") as packed:
        for number, kind in enumerate(("caf\u00e9", "tulip") * 8):
            picture.write_bytes(png_of(32, 32 + number))
            packed.add(picture, f"set/{kind}/{number}\u00e9.png")
    answer = service.upload(archive)
    assert answer.status_code == 201, answer.text
    assert answer.json()["classes"] == ["caf\u00e9", "tulip"]
    assert service.get("/v1/datasets").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("side", [10_000, 20_000])
def test_images_of_too_many_pixels(service: Service, tmp_path: Path, side: int) -> None:
    make_dataset(tmp_path / "set", format="yolo", images=4)
    for image in (tmp_path / "set").rglob("*.png"):
        image.write_bytes(png_of(side, side))
    refuse(service, zip_of(tmp_path / "set", tmp_path / "set.zip"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "through getattr"])
def test_weights_that_run_code(service: Service, tmp_path: Path, kind: str) -> None:
    marker = tmp_path / "marker"
    file = plant(tmp_path / "best.pt", kind, marker)
    with file.open("rb") as opened:
        answer = service.post("/v1/checkpoints", files={"file": ("best.pt", opened)}, data={"name": "evil"})
    assert answer.status_code == 422, answer.text
    assert not marker.exists()
    assert service.get("/v1/checkpoints/evil").status_code == 404
    assert not list(uploads_folder().glob("*/best.pt"))


def by_path(service: Service, path: str) -> tuple[int, str]:
    answer = service.post("/v1/datasets", json={"path": path})
    return answer.status_code, answer.text


@pytest.mark.parametrize(
    "place",
    [
        "/",
        "/etc",
        "relative",
        "..",
        "{roots}/../",
        "{roots}/good/../../..",
        "{roots}x",
        "~",
        "/proc/self/root",
        "\x00",
        "{roots}\x00",
    ],
)
def test_paths_outside_the_allowed_folders(service: Service, roots: Path, place: str) -> None:
    status, text = by_path(service, place.format(roots=roots))
    assert status == 422, text
    assert "not below a folder" in text


def test_a_path_that_is_a_link_out_of_the_folder(service: Service, roots: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path / "secret", format="yolo")
    (roots / "link").symlink_to(tmp_path / "secret")
    try:
        assert by_path(service, str(roots / "link"))[0] == 422
    finally:
        (roots / "link").unlink()


def test_a_path_inside_and_its_images_linked_out(service: Service, roots: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path / "secret", format="yolo")
    make_dataset(roots / "mixed", format="yolo", seed=3)
    first = sorted((roots / "mixed" / "images" / "train").iterdir())[0]
    target = sorted((tmp_path / "secret" / "images" / "train").iterdir())[0]
    first.unlink()
    first.symlink_to(target)
    status, text = by_path(service, str(roots / "mixed"))
    assert status == 422, text


def test_whether_a_path_exists_outside_is_not_told(service: Service) -> None:
    known, unknown = by_path(service, "/etc/passwd"), by_path(service, "/etc/no-such-file")
    assert known[0] == unknown[0] == 422
    said = [json.loads(text)["detail"] for _, text in (known, unknown)]
    assert said[0] == said[1]


def test_a_good_path_is_taken_and_given_back_untouched(service: Service, roots: Path) -> None:
    before = {path: path.read_bytes() for path in (roots / "good").rglob("*") if path.is_file()}
    answer = service.post("/v1/datasets", json={"path": str(roots / "good"), "name": "by path"})
    assert answer.status_code == 201, answer.text
    held = answer.json()
    assert (held["origin"], held["name"]) == ("path", "by path")
    assert "path" not in held  # where it lies is the operator's business
    assert service.post("/v1/datasets", json={"path": str(roots / "good")}).status_code == 200
    assert service.delete(f"/v1/datasets/{held['id']}").status_code == 204
    assert {path: path.read_bytes() for path in (roots / "good").rglob("*") if path.is_file()} == before
