"""D3: archives that lead out, link, grow or count beyond reason are refused, and nothing is left of them."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from recommender.datasets import DatasetLimits, open_dataset
from recommender.errors import DatasetError, UnsafeInputError
from tests.datagen import tar_of, zip_of
from tests.datasets.helpers import yolo_set
from tests.hostile.limited import open_limited

pytestmark = pytest.mark.slow  # bombs are written and unpacked

NAMES = [
    "../evil.txt",
    "a/../../evil.txt",
    "/evil.txt",
    "..\\evil.txt",
    "C:\\evil.txt",
    "a/b/../../../evil.txt",
]


@pytest.fixture(autouse=True)
def _home(home: Path) -> None:
    """Archives are unpacked below this test's home."""


def zip_with(path: Path, entry: zipfile.ZipInfo | str, data: bytes = b"x") -> Path:
    zip_of(yolo_set(path.parent / "set"), path)
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr(entry, data)
    return path


def tar_with(path: Path, entry: tarfile.TarInfo, data: bytes = b"x") -> Path:
    folder = yolo_set(path.parent / "set")
    with tarfile.open(path, "w:gz") as packed:
        packed.add(folder, "set")
        entry.size = len(data) if entry.isreg() else 0
        packed.addfile(entry, io.BytesIO(data))
    return path


def assert_refused(path: Path, home: Path, match: str) -> None:
    before = sorted(p for p in path.parent.parent.rglob("*") if home not in p.parents and p != home)
    with pytest.raises(UnsafeInputError, match=match):
        open_dataset(path)
    assert sorted(p for p in path.parent.parent.rglob("*") if home not in p.parents and p != home) == before
    assert list((home / "unpacked").iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_slip(tmp_path: Path, home: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    assert_refused(zip_with(tmp_path / "in" / "a.zip", name), home, "leads out")
    (tmp_path / "tar").mkdir()
    assert_refused(tar_with(tmp_path / "tar" / "a.tgz", tarfile.TarInfo(name)), home, "leads out")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_in_zips(tmp_path: Path, home: Path, kind: int) -> None:
    (tmp_path / "in").mkdir()
    entry = zipfile.ZipInfo("images/train/link.png")
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    assert_refused(zip_with(tmp_path / "in" / "a.zip", entry, b"/etc/passwd"), home, "a link or a device")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_links_and_devices_in_tars(tmp_path: Path, home: Path, kind: bytes) -> None:
    (tmp_path / "in").mkdir()
    entry = tarfile.TarInfo("set/images/train/link.png")
    entry.type = kind
    entry.linkname = "/etc/passwd"
    assert_refused(tar_with(tmp_path / "in" / "a.tgz", entry), home, "a link or a device")


def zeros_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("zeros.bin", "w") as file:
        for _ in range(120):
            file.write(bytes(1 << 20))


def lying_zip(path: Path) -> None:
    """A bomb whose headers state a small size."""
    zeros_zip(path)
    data = path.read_bytes()
    true = (120 << 20).to_bytes(4, "little")
    assert data.count(true) >= 2
    path.write_bytes(data.replace(true, (1000).to_bytes(4, "little")))


def zeros_tar(path: Path) -> None:
    with tarfile.open(path, "w:gz") as packed:
        entry = tarfile.TarInfo("zeros.bin")
        entry.size = 120 << 20
        packed.addfile(entry, io.BytesIO(bytes(entry.size)))


def skipped_tar(path: Path) -> None:
    """A bomb in an entry that is never written, only skipped."""
    with tarfile.open(path, "w:gz") as packed:
        for number in range(8):
            entry = tarfile.TarInfo(f"__MACOSX/zeros{number}.bin")
            entry.size = 50 << 20
            packed.addfile(entry, io.BytesIO(bytes(entry.size)))


def header_tar(path: Path) -> None:
    """A header that is a gigabyte long."""
    entry = tarfile.TarInfo("x")
    entry.type = tarfile.XHDTYPE
    entry.size = 1 << 30
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(entry.tobuf())
        for _ in range(300):
            file.write(bytes(1 << 20))


def sparse_tar(path: Path) -> None:
    """A sparse entry: a terabyte of holes in a kilobyte."""
    entry = tarfile.TarInfo("images/holes.png")
    entry.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    terabyte = b"%011o" % 0o77777777777
    block[386:410] = b"%011o\0%011o\0" % (0, 0)
    block[483:494] = terabyte
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    path.write_bytes(bytes(block) + bytes(1024))


@pytest.mark.parametrize("bomb", [zeros_zip, lying_zip, zeros_tar, skipped_tar, header_tar, sparse_tar])
def test_bombs(tmp_path: Path, home: Path, bomb: Callable[[Path], None]) -> None:
    path = tmp_path / "bomb.zip"
    bomb(path)
    assert path.stat().st_size < 2_000_000
    measured = open_limited(path, memory_mb=1024)
    assert str(measured.outcome).startswith("DatasetError" if bomb is lying_zip else "UnsafeInputError"), (
        measured
    )
    assert measured.grown_mb < 250, measured
    assert measured.seconds < 15, measured
    assert list((home / "unpacked").iterdir()) == []


def test_too_many_entries(tmp_path: Path, home: Path) -> None:
    """A million empty entries, written by hand: zipfile itself would take long."""
    central, count = b"", 1_000_000
    one = b"PK\x01\x02" + bytes(24) + (1).to_bytes(2, "little") + bytes(16) + b"a"
    central = one * count
    end = (
        b"PK\x05\x06"
        + bytes(4)
        + (7).to_bytes(2, "little") * 2
        + len(central).to_bytes(4, "little")
        + bytes(6)
    )
    path = tmp_path / "many.zip"
    path.write_bytes(b"PK\x03\x04" + bytes(26) + central + end)
    measured = open_limited(path, memory_mb=1024)
    assert "too many entries" in str(measured.outcome)
    assert measured.grown_mb < 200, measured
    assert measured.seconds < 5, measured
    assert list((home / "unpacked").iterdir()) == []


def test_counts_and_ratios_are_limits(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    for path in (zip_of(folder, tmp_path / "a.zip"), tar_of(folder, tmp_path / "a.tgz")):
        with pytest.raises(UnsafeInputError, match=r"entries"):
            open_dataset(path, limits=DatasetLimits(archive_entries=10))
        with pytest.raises(UnsafeInputError, match="out of proportion"):
            open_dataset(path, limits=DatasetLimits(archive_ratio=0.5, archive_ratio_from_bytes=0))
        with pytest.raises(UnsafeInputError, match="unpacks to more than 1000 bytes"):
            open_dataset(path, limits=DatasetLimits(archive_bytes=1000))
        assert len(open_dataset(path).images) == 12


def test_archives_within_archives_are_not_opened(tmp_path: Path) -> None:
    zip_of(yolo_set(tmp_path / "set"), tmp_path / "inner.zip")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as packed:
        packed.write(tmp_path / "inner.zip", "inner.zip")
    with pytest.raises(DatasetError, match=r"Unpack inner\.zip"):
        open_dataset(tmp_path / "outer.zip")


def test_damaged_and_encrypted_archives_are_told(tmp_path: Path, home: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    for whole in (zip_of(folder, tmp_path / "a.zip"), tar_of(folder, tmp_path / "a.tgz")):
        data = whole.read_bytes()
        for number, broken in enumerate(
            (data[: len(data) // 2], data[:40], data[:200] + bytes(99) + data[299:])
        ):
            path = tmp_path / f"{number}{whole.name}"
            path.write_bytes(broken)
            with pytest.raises(DatasetError, match="is damaged"):
                open_dataset(path)
    offset = bytearray((tmp_path / "a.zip").read_bytes())
    offset[-6:-2] = b"\xff\xff\xff\x7f"  # where the directory lies: entries are sought before the start
    (tmp_path / "offset.zip").write_bytes(offset)
    with pytest.raises(DatasetError, match="is damaged"):
        open_dataset(tmp_path / "offset.zip")
    locked = bytearray((tmp_path / "a.zip").read_bytes())
    locked[locked.rfind(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(DatasetError, match="is encrypted"):
        open_dataset(tmp_path / "locked.zip")
    assert list((home / "unpacked").iterdir()) == []


def test_the_same_entry_twice_and_a_file_where_a_folder_is(tmp_path: Path) -> None:
    for number, names in enumerate((["a.txt", "a.txt"], ["a", "a/b.txt"])):
        path = tmp_path / f"{number}.tar"
        with tarfile.open(path, "w") as packed:
            for name in names:
                entry = tarfile.TarInfo(name)
                entry.size = 1
                packed.addfile(entry, io.BytesIO(b"x"))
        with pytest.raises(DatasetError):
            open_dataset(path)


def test_what_macos_and_windows_add_does_not_disturb(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, "set\\" + str(file.relative_to(folder)).replace("/", "\\"))
                packed.writestr("__MACOSX/set/._" + file.name, b"junk")
        packed.writestr("set/Thumbs.db", b"junk")
    assert open_dataset(path).content_hash == open_dataset(folder).content_hash
