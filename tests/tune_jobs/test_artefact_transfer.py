"""Artefacts: the same bytes for the same content, whole or absent on every node."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError, IntegrityError
from recommender.home import subfolder
from tests.datagen import make_dataset
from tests.processes import run_command
from tests.tune_jobs.sweep_kit import tiny_dataset
from tests.tune_jobs.training_kit import tree_hash
from tune_jobs import artefact_transfer
from tune_jobs.artefact_transfer import Artefact, deliver, pack_dataset, pack_weights, place_of, read_chunks

NUM_PROCESSES, NUM_ROUNDS = 4, 20


@pytest.fixture(autouse=True)
def _nothing_verified(home: Path) -> Iterator[None]:
    artefact_transfer._verified.clear()
    yield
    artefact_transfer._verified.clear()


def no_chunks(artefact: Artefact) -> Iterator[bytes]:
    raise AssertionError(f"{artefact.kind} is here already and must not be fetched")


def test_equal_content_packs_to_equal_bytes_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pack_dataset(open_dataset(make_dataset(tmp_path / "one", format="yolo")))
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path / "elsewhere"))
    other = pack_dataset(open_dataset(make_dataset(tmp_path / "two", format="coco")))
    assert one.key == other.key
    assert one.sha256 == other.sha256
    assert one.source != other.source
    assert str(tmp_path).encode() not in one.source.read_bytes()


def test_a_data_set_is_packed_and_unpacked_once(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    artefact = pack_dataset(dataset)
    shutil.rmtree(tmp_path / "data")
    assert pack_dataset(dataset) == artefact  # from the archive: the images are gone
    folder = deliver(artefact)
    assert sorted(p.name for p in folder.iterdir()) == ["data.yaml", "images", "labels"]
    assert len(list((folder / "images" / "train").iterdir())) == 6
    assert deliver(artefact, no_chunks) == folder


def test_weights_arrive_under_their_hash(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"weights" * 1000)
    artefact = pack_weights(file)
    arrived = deliver(artefact)
    assert arrived.read_bytes() == file.read_bytes()
    assert arrived.name == f"{artefact.sha256}.safetensors"
    file.write_bytes(b"swapped")
    with pytest.raises(IntegrityError, match="recorded is"):
        pack_weights(file, sha256=artefact.sha256)


def test_an_edit_that_keeps_the_time_is_noticed_before_packing(tmp_path: Path) -> None:
    """Row D10: the content counts, not the clock."""
    dataset = tiny_dataset(tmp_path / "data")
    victim = dataset.images[0].path
    _edit_keeping_time(victim, dataset.images[1].path.read_bytes())
    with pytest.raises(DatasetError, match="changed after the data set was opened"):
        pack_dataset(dataset)
    assert not [p for p in subfolder("shipments").iterdir() if p.suffix in (".tar", ".json")]


def test_an_edit_during_a_sweep_makes_another_data_set(tmp_path: Path) -> None:
    """Row D10: trials under way keep what was packed; the next command sees something new."""
    path = make_dataset(tmp_path / "data")
    before = pack_dataset(open_dataset(path))
    held = tree_hash(deliver(before))
    label = next((tmp_path / "data").rglob("labels/**/*.txt"))
    _edit_keeping_time(label, b"0 0.5 0.5 0.25 0.25\n")
    assert tree_hash(deliver(before)) == held
    after = pack_dataset(open_dataset(path))
    assert after.key != before.key
    assert deliver(after) != deliver(before)


def test_a_damaged_copy_is_fetched_again(tmp_path: Path) -> None:
    artefact = pack_dataset(tiny_dataset(tmp_path / "data"))
    folder = deliver(artefact)
    whole = tree_hash(folder)
    image = next((folder / "images" / "train").iterdir())
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 1
    _edit_keeping_time(image, bytes(data))
    artefact_transfer._verified.clear()  # as in the next process
    assert tree_hash(deliver(artefact)) == whole


def test_a_manifest_without_its_files_is_not_complete(tmp_path: Path) -> None:
    artefact = pack_dataset(tiny_dataset(tmp_path / "data"))
    folder = deliver(artefact)
    whole = tree_hash(folder)
    shutil.rmtree(folder / "labels")
    artefact_transfer._verified.clear()
    assert tree_hash(deliver(artefact)) == whole


def test_what_arrives_otherwise_than_packed_is_refused(tmp_path: Path) -> None:
    artefact = pack_dataset(tiny_dataset(tmp_path / "data"))
    with pytest.raises(IntegrityError, match="packed was"):
        deliver(artefact, lambda wanted: [next(iter(read_chunks(wanted)))[:-1]])
    assert not place_of(artefact).exists()
    assert not list(place_of(artefact).parent.glob(".arriving-*"))


def _killed_while_receiving(artefact: Artefact) -> Iterator[bytes]:
    yield next(iter(read_chunks(artefact)))[:-1]
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_half_received_is_removed_by_the_next(tmp_path: Path) -> None:
    artefact = pack_dataset(tiny_dataset(tmp_path / "data"))
    killed = multiprocessing.get_context("fork").Process(
        target=deliver, args=(artefact, _killed_while_receiving)
    )
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    cache = place_of(artefact).parent
    assert list(cache.glob(".arriving-*/arrived"))
    assert tree_hash(deliver(artefact))
    assert not list(cache.glob(".arriving-*"))


def _deliver_in_every_home(artefact: Artefact, homes: list[Path], results: list[str]) -> None:
    for home in homes:
        os.environ["RECOMMENDER_HOME"] = str(home)
        results.append(_content(deliver(artefact)))


@pytest.mark.slow
def test_processes_race_for_an_artefact_and_none_sees_half_of_it(tmp_path: Path) -> None:
    """Row D11: four processes, twenty fresh nodes each."""
    artefact = pack_dataset(tiny_dataset(tmp_path / "data"))
    homes = [tmp_path / "nodes" / str(number) for number in range(NUM_ROUNDS)]
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        results = manager.list()
        workers = [
            context.Process(target=_deliver_in_every_home, args=(artefact, homes, results))
            for _ in range(NUM_PROCESSES)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0] * NUM_PROCESSES
        found = list(results)
    assert len(found) == NUM_PROCESSES * NUM_ROUNDS
    assert set(found) == {_content(deliver(artefact))}


def test_a_source_that_is_gone_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    weights = tmp_path / "removed.safetensors"
    weights.write_bytes(b"w")
    artefact = pack_weights(weights)
    weights.unlink()
    with pytest.raises(
        IntegrityError, match=r"The weights .*removed\.safetensors cannot be read: No such file"
    ):
        deliver(artefact)


_ON_A_SMALL_DISK = """
    import os, subprocess, sys
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", sys.argv[1]], check=True)
    os.environ["RECOMMENDER_HOME"] = sys.argv[1]
    from pathlib import Path
    from recommender.errors import StorageError
    from tune_jobs.artefact_transfer import deliver, pack_weights, place_of
    small, large = Path(sys.argv[2]), Path(sys.argv[3])
    kept = deliver(pack_weights(small))
    try:
        deliver(pack_weights(large))
    except StorageError as error:
        print(error)
    assert kept.read_bytes() == small.read_bytes()
    assert not place_of(pack_weights(large)).exists()
    print("intact")
"""


def test_a_full_disk_keeps_what_it_has(tmp_path: Path) -> None:
    """Row R10."""
    disk, small, large = tmp_path / "disk", tmp_path / "small", tmp_path / "large"
    disk.mkdir()
    small.write_bytes(b"s" * 20_000)
    large.write_bytes(b"l" * 400_000)
    command = ["unshare", "-rm"]
    if subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("needs a mount namespace of its own for a small file system")
    command += [sys.executable, "-c", textwrap.dedent(_ON_A_SMALL_DISK), str(disk), str(small), str(large)]
    done = run_command(*command)
    assert "Free some space" in done.stdout
    assert done.stdout.endswith("intact\n")


def _content(folder: Path) -> str:
    return tree_hash(folder / "images") + tree_hash(folder / "labels")


def _edit_keeping_time(path: Path, data: bytes) -> None:
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(data).digest()
