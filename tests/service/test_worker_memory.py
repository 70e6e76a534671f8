"""The memory a task may allocate, in real worker processes."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.datasets.images import read_image
from recommender.errors import InputError, UnsafeInputError
from service.workers.memory import is_out_of_memory, task_memory
from service.workers.pools import WorkerPools, task_result
from service.workers.tasks import Source, inspect_uploaded_dataset

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
LIMIT_MB = 1100  # loading torch alone takes 700 of them


def allocate(megabytes: int, how: str) -> int:
    """In the worker."""
    if how == "bytes":
        return len(b"x" * (megabytes * 2**20))
    if how == "numpy":
        return int(np.ones(megabytes * 2**20, dtype=np.uint8).size)
    if how == "opencv":
        import cv2

        one = np.ones((1000, 1000), dtype=np.uint8)
        return int(cv2.resize(one, (2**10, megabytes * 2**10)).size)
    if how == "wrapped":
        try:
            return len(b"x" * (megabytes * 2**20))
        except MemoryError:
            raise InputError("It cannot be read.") from None
    import torch

    return int(torch.ones(megabytes * 2**20, dtype=torch.uint8).numel())


def peak_mb() -> float:
    """In the worker: the most it ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.fixture(scope="module")
def pools() -> Iterator[WorkerPools]:
    made = WorkerPools(recommendation_workers=1, task_memory_mb=LIMIT_MB)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["bytes", "numpy", "opencv", "wrapped", "torch"])
def test_a_task_that_takes_too_much_is_refused_and_the_worker_goes_on(pools: WorkerPools, how: str) -> None:
    assert (
        task_result(pools.submit_recommendation(120, allocate, 1, how)) == 2**20
    )  # its imports are no task's
    before = task_result(pools.submit_recommendation(60, peak_mb))
    with pytest.raises(UnsafeInputError, match=f"more than the {LIMIT_MB} MB"):
        task_result(pools.submit_recommendation(60, allocate, 4 * LIMIT_MB, how))
    assert task_result(pools.submit_recommendation(60, allocate, LIMIT_MB // 3, how)) == LIMIT_MB // 3 * 2**20
    assert task_result(pools.submit_recommendation(60, peak_mb)) < before + LIMIT_MB + 50


@pytest.mark.slow
def test_small_files_with_huge_pictures_do_not_fill_the_memory(pools: WorkerPools, tmp_path: Path) -> None:
    """Eight TIFFs of 64 Mpx and four bytes a pixel, in less than 2 MB."""
    folder = tmp_path / "user"
    for split, count in (("train", 6), ("val", 2)):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for number in range(count):
            picture = Image.new("I", (8000, 8000), number)
            picture.save(folder / "images" / split / f"{split}{number}.tif", compression="tiff_lzw")
            (folder / "labels" / split / f"{split}{number}.txt").write_text("0 .5 .5 .2 .2\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [sign]\n")
    warm = [task_result(pools.submit_recommendation(300, allocate, 1, how)) for how in ("torch", "opencv")]
    before = task_result(pools.submit_recommendation(60, peak_mb))
    content = open_dataset(folder).content_hash
    with contextlib.suppress(InputError):  # refused, or read within the limit: both are fine
        source = Source(path=str(folder), roots=None, dataset_hash=content)
        arguments = (source, 0, str(tmp_path / "thumbs"))
        task_result(pools.submit_recommendation(300, inspect_uploaded_dataset, *arguments))
    assert warm
    assert task_result(pools.submit_recommendation(60, peak_mb)) < before + LIMIT_MB + 100


def decode_beside(megabytes: int, file: str) -> tuple[int, ...]:
    """In the worker."""
    held = b"x" * (megabytes * 2**20)
    return read_image(Path(file)).shape if held else ()


@pytest.mark.slow
def test_an_image_that_memory_lacks_for_is_never_taken_for_a_damaged_one(
    pools: WorkerPools, tmp_path: Path
) -> None:
    """It would be left out of its data set, whose content would then be another."""
    Image.new("I", (8000, 8000), 1).save(tmp_path / "huge.tif", compression="tiff_lzw")
    assert task_result(pools.submit_recommendation(120, decode_beside, 1, str(tmp_path / "huge.tif"))) == (
        8000,
        8000,
        3,
    )
    with pytest.raises(UnsafeInputError, match=f"more than the {LIMIT_MB} MB"):
        task_result(
            pools.submit_recommendation(120, decode_beside, LIMIT_MB - 200, str(tmp_path / "huge.tif"))
        )


def test_the_limit_is_taken_back() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with task_memory(10_000):
        assert 0 < resource.getrlimit(resource.RLIMIT_DATA)[0] != before[0]
    with task_memory(None):
        pass
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_what_libraries_say_is_understood() -> None:
    told = RuntimeError("[enforce fail at alloc_cpu.cpp:126] . DefaultCPUAllocator: can't allocate memory")
    assert is_out_of_memory(told)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(ValueError("a label"))
