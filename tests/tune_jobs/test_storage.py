"""Files between launcher and attempts: whole or not at all, inside their place only, on any file system."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from recommender.errors import StorageError
from tune_jobs.messages import Crash
from tune_jobs.storage import (
    RetryingStorage,
    UrlStorage,
    get_record,
    put_record,
    require_storage,
    require_writable,
)


@pytest.fixture(params=["folder", "file", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> UrlStorage:
    """An empty storage of each kind."""
    return UrlStorage(
        {
            "folder": str(tmp_path / "storage"),
            "file": f"file://{tmp_path}/storage",
            "memory": f"memory://{uuid.uuid4().hex}",
        }[request.param]
    )


def test_files_come_back_and_go(storage: UrlStorage, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    assert not storage.get("job/a", target)
    for content in (b"first", b"second" * 500_000):
        source.write_bytes(content)
        storage.put("job/a", source)
        assert storage.get("job/a", target)
        assert target.read_bytes() == content
    storage.put("job/deep/b", source)
    storage.remove("job/deep")
    storage.remove("job/deep")
    assert not storage.get("job/deep/b", target)
    assert storage.get("job/a", target)


def test_records_come_back(storage: UrlStorage) -> None:
    assert get_record(storage, "job/crash.json", Crash) is None
    put_record(storage, "job/crash.json", Crash(error="out of \x00 luck"))
    assert get_record(storage, "job/crash.json", Crash) == Crash(error="out of \x00 luck")


def test_a_record_of_another_form_is_refused(storage: UrlStorage, tmp_path: Path) -> None:
    (tmp_path / "odd").write_text('{"no": 1}')
    storage.put("odd.json", tmp_path / "odd")
    with pytest.raises(StorageError, match="cannot be read"):
        get_record(storage, "odd.json", Crash)


@pytest.mark.parametrize("name", ["../outside", "a/../../b", "/etc/passwd", ""])
def test_names_stay_inside(storage: UrlStorage, tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(StorageError, match="not a name inside"):
        storage.put(name, tmp_path / "x")
    with pytest.raises(StorageError, match="not a name inside"):
        storage.remove(name)


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    storage = UrlStorage(str(tmp_path / "storage"))
    writer = (
        "import sys\nfrom pathlib import Path\nfrom tune_jobs.storage import UrlStorage\n"
        "s = UrlStorage(sys.argv[1]); p = Path(sys.argv[2])\n"
        "for n in range(15):\n    p.write_bytes(bytes([n]) * 1_000_000); s.put('file', p)\n"
    )
    command = [sys.executable, "-c", writer, str(tmp_path / "storage"), str(tmp_path / "source")]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path.cwd())}) as process:
        looks = 0
        while process.poll() is None:
            if storage.get("file", tmp_path / "target"):
                content = (tmp_path / "target").read_bytes()
                assert len(content) == 1_000_000
                assert len(set(content)) == 1
                looks += 1
    assert process.returncode == 0
    assert looks > 0


@pytest.mark.slow
def test_a_hiccup_is_waited_out_and_an_outage_is_told(tmp_path: Path) -> None:
    place, source = tmp_path / "storage", tmp_path / "source"
    source.write_text("content")
    storage = RetryingStorage(UrlStorage(str(place)), delays_s=(0.2, 0.2, 0.2))
    place.write_text("in the way")
    with pytest.raises(StorageError, match="refused file"):
        storage.put("file", source)
    mender = threading.Timer(0.3, place.unlink)
    mender.start()
    storage.put("file", source)
    mender.join()
    assert storage.get("file", tmp_path / "target")
    storage.remove("file")
    assert not storage.get("file", tmp_path / "target")


def test_an_unknown_file_system_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        UrlStorage("nowhere://x")


def test_a_place_that_takes_nothing_is_told_at_once(storage: UrlStorage, tmp_path: Path) -> None:
    require_writable(storage)
    assert not list(tmp_path.rglob("*probe*"))
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", Path("/proc/nowhere")):
        with pytest.raises(StorageError, match=rf"{place} refused probe.*reachable and writable"):
            require_writable(UrlStorage(str(place)))


def test_a_place_that_is_new_is_asked_and_left_unmade(tmp_path: Path) -> None:
    require_storage(str(tmp_path / "new" / "deep"))
    assert not (tmp_path / "new").exists()
    (tmp_path / "there").mkdir()
    require_storage(str(tmp_path / "there" / "deep"))
    assert not list((tmp_path / "there").iterdir())


def test_what_an_object_store_raises_is_ours_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their clients have errors of their own: no credentials, no bucket."""
    storage = UrlStorage(f"memory://{uuid.uuid4().hex}")

    def refuse(*_: object) -> None:
        raise LookupError("Unable to locate credentials")

    monkeypatch.setattr(storage._files, "put_file", refuse)
    with pytest.raises(StorageError, match=r"refused probe.*Unable to locate credentials"):
        require_writable(storage)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], check=False)
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        storage = UrlStorage(str(disk / "storage"))
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(b"small")
        storage.put("file", source)
        source.write_bytes(b"large" * 100_000)
        with pytest.raises(StorageError, match=r"No space left.*Free some space"):
            storage.put("file", source)
        assert storage.get("file", target)
        assert target.read_bytes() == b"small"
        assert [path.name for path in (disk / "storage").iterdir()] == ["file"]  # no half files left
    finally:
        subprocess.run(["umount", str(disk)], check=True)
