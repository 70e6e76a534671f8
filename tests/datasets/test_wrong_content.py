"""Files that are not what their names say: pointers of Git LFS, web pages, packed files."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from tests.datagen import make_dataset

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.zip", POINTER, "pointer of Git LFS.*git lfs pull"),
        ("a.zip", b"\n<!DOCTYPE html><title>Virus scan warning</title>", "a web page.*Download it again"),
        ("a.zip", b"", "is empty"),
        ("a.z01", b"PK\x07\x08PK\x03\x04", "a part of an archive.*Unpack the whole"),
        ("a.json", POINTER, "pointer of Git LFS"),
        ("a.json.gz", gzip.compress(b"{}", mtime=0), "a packed file.*Unpack it"),
        ("a.json.bz2", bz2.compress(b"{}"), "a packed file.*Unpack it"),
        ("a.json", gzip.compress(b"{}", mtime=0), "a packed file.*Unpack it"),
    ],
)
def test_a_file_that_is_something_else_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError) as raised:
        open_dataset(tmp_path / name)
    assert said.split(".*")[0] in raised.value.message
    assert said.split(".*")[-1] in f"{raised.value.message} {raised.value.remedy}"


@pytest.mark.parametrize(
    ("pattern", "said"), [("*.png", "git lfs pull"), ("labels/*/*.txt", "pointer of Git LFS")]
)
def test_pointers_in_place_of_images_and_labels_are_named(tmp_path: Path, pattern: str, said: str) -> None:
    folder = make_dataset(tmp_path / "set")
    for path in folder.rglob(pattern):
        path.write_bytes(POINTER)
    with pytest.raises(DatasetError) as raised:
        open_dataset(folder)
    assert said in f"{raised.value.message} {raised.value.remedy}"
