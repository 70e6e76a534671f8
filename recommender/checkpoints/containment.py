"""Starts the quarantine for one untrusted file and judges what comes out of it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recommender.checkpoints.files import sha256_of, stored_shapes
from recommender.errors import CheckpointError, RecommenderError, StorageError, UnavailableError
from recommender.families.row import Shapes
from recommender.families.ultralytics.recognition import Recognised, recognise
from recommender.home import subfolder
from recommender.tasks import FOREIGN_TASKS
from recommender.text import printable

MAX_FILE_BYTES = 4 * 2**30
_REFUSED = 3
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")  # torch may need them to start at all


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """The content of an untrusted file as plain tensors, and what it says of itself."""

    path: Path
    sha256: str
    shapes: Shapes
    recognised: Recognised
    class_names: tuple[str, ...] | None
    imgsz: int | None
    epochs: int | None
    started_from: str | None  # file name of what its training began from, as the file says
    score: float | None  # as the file claims, on the val split of its own training
    foreign_task: str | None  # that its head is for, as the file says, where it is none of ours


@contextmanager
def quarantined(file: Path) -> Iterator[Admitted]:
    """The tensors of an untrusted weights file, read in quarantine; at the end they go unless they were kept.

    Raises:
        CheckpointError: it cannot be loaded safely, or is no detector we know; says why and what to do.
        StorageError: no space for it.
    """
    size = _require_file(file)
    try:
        workplace = tempfile.TemporaryDirectory(prefix="quarantine-", dir=subfolder("checkpoints"))
    except OSError as error:
        raise StorageError(
            f"There is no place to read {printable(file)} in: {error.strerror or error}.",
            remedy="Free some space, or point RECOMMENDER_HOME elsewhere.",
        ) from error
    with workplace as name:
        folder = Path(name)
        code, said = _run(file, size, folder)
        if code != 0:
            raise _refusal(file, folder, code, said)
        facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        weights = folder / "weights.safetensors"
        with weights.open("rb"):  # what a process has open is no leftover, however long it waits
            yield _told(weights, facts)


def _told(weights: Path, facts: dict[str, Any]) -> Admitted:
    """The tensors, recognised. Raises CheckpointError for those of no detector we know."""
    shapes = stored_shapes(weights)
    recognised = recognise(
        shapes,
        task=facts.get("task"),
        activation=facts.get("activation"),
        layers=facts.get("layers"),
    )
    names = facts["class_names"]
    fits = names is not None and recognised.num_classes in (None, len(names))
    return Admitted(
        path=weights,
        sha256=sha256_of(weights),
        shapes=shapes,
        recognised=recognised,
        class_names=tuple(names) if fits else None,
        imgsz=facts.get("imgsz"),
        epochs=facts.get("epochs"),
        started_from=facts.get("started_from"),
        score=facts.get("score"),
        foreign_task=facts["task"] if facts.get("task") in FOREIGN_TASKS else None,
    )


def _require_file(file: Path) -> int:
    try:
        status = file.stat()
    except OSError as error:
        address = str(file).startswith(("http:", "https:"))
        raise CheckpointError(
            f"{printable(file)} cannot be read: {error.strerror or error}.",
            remedy="Download it first, and name the file." if address else "Check the path.",
        ) from error
    if not stat.S_ISREG(status.st_mode):
        best = next(
            (best for best in (file / "weights/best.pt", file / "best.pt") if best.is_file()), "best.pt"
        )
        raise CheckpointError(
            f"{printable(file)} is not a file.",
            remedy=f"Name the weights file itself, such as {printable(best)}.",
        )
    if status.st_size > MAX_FILE_BYTES:
        raise CheckpointError(
            f"{printable(file)} has {status.st_size / 2**30:.1f} GiB; at most {MAX_FILE_BYTES // 2**30} are read.",
            remedy="Save the weights alone, without optimiser state.",
        )
    return status.st_size


def _run(file: Path, size: int, folder: Path) -> tuple[int, str]:
    root = Path(__file__).parents[2]
    command = [
        sys.executable,
        "-P",
        "-m",
        "recommender.checkpoints.quarantine",
        str(file.resolve()),  # the confinement allows real paths, without links and dots
        str(folder),
    ]
    timeout_s = 120 + size / 2**20  # a loaded machine reads 1 MiB/s at the very least
    try:
        done = subprocess.run(  # noqa: S603
            command,
            cwd=folder,
            env=_environment(root, folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"reading took longer than {timeout_s:.0f} s"
    return done.returncode, done.stderr.decode("utf-8", "replace").strip()


def _environment(root: Path, folder: Path) -> dict[str, str]:
    """The environment of the child: no tokens, no proxies, no PYTHON* switches."""
    return {
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
    }


def _refusal(file: Path, folder: Path, code: int, said: str) -> RecommenderError:
    refusal = folder / "refusal.json"
    if code == _REFUSED and refusal.exists():
        told = json.loads(refusal.read_text(encoding="utf-8"))
        return CheckpointError(f"{printable(file)} is refused. {told['reason']}", remedy=told["remedy"])
    last = printable(said.splitlines()[-1] if said else "no word", limit=300)
    if "ModuleNotFoundError" in last:
        return UnavailableError(
            f"The quarantine cannot start: {last}.", remedy="Install the package completely."
        )
    if "No space left" in last or "File too large" in last:
        return StorageError(
            f"The weights in {printable(file)} cannot be kept: the disk is full.",
            remedy="Free some space, or point RECOMMENDER_HOME elsewhere.",
        )
    ended = f"signal {-code}" if code < 0 else f"code {code}"
    return CheckpointError(
        f"{printable(file)} is refused. Reading it in quarantine ended with {ended} ({last}): it is damaged, needs "
        "more memory or time than any detector, or tried something forbidden.",
        remedy="Save its plain tensors where you trust it, torch.save(model.state_dict(), 'weights.pt'), and add that.",
    )
