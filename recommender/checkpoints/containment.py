"""Starts the quarantine for one untrusted file and judges what comes out of it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recommender.checkpoints.files import keep, kept_path, sha256_of, stored_shapes
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
    """The content of an untrusted file, now kept as plain tensors under its hash."""

    path: Path
    sha256: str
    is_new: bool  # these weights were not here before
    shapes: Shapes
    recognised: Recognised
    class_names: tuple[str, ...] | None
    imgsz: int | None
    epochs: int | None
    started_from: str | None  # file name of what its training began from, as the file says
    score: float | None  # as the file claims, on the val split of its own training
    foreign_task: str | None  # that its head is for, as the file says, where it is none of ours


def admit(file: Path) -> Admitted:
    """Read an untrusted weights file in quarantine and keep its tensors below our home.

    Raises:
        CheckpointError: it cannot be loaded safely, or is no detector we know; says why and what to do.
        StorageError: no space to keep it.
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
        shapes = stored_shapes(weights)
        recognised = recognise(
            shapes,
            task=facts.get("task"),
            activation=facts.get("activation"),
            layers=facts.get("layers"),
        )
        is_new = not kept_path(sha256_of(weights)).exists()
        path, sha256 = keep(weights)
    names = facts["class_names"]
    fits = names is not None and recognised.num_classes in (None, len(names))
    return Admitted(
        path=path,
        sha256=sha256,
        is_new=is_new,
        shapes=shapes,
        recognised=recognised,
        class_names=tuple(names) if fits else None,
        imgsz=facts.get("imgsz"),
        epochs=facts.get("epochs"),
        started_from=facts.get("started_from"),
        score=facts.get("score"),
        foreign_task=facts["task"] if facts.get("task") in FOREIGN_TASKS else None,
    )


@contextmanager
def admission(file: Path, in_use: Callable[[str], bool]) -> Iterator[Admitted]:
    """`admit`, by one process at a time for the same file. Weights that it brought go again unless they are in use.

    Those that were here before may be another store's. Raises as `admit`.
    """
    from filelock import FileLock

    lock = f"admitting-{_require_file(file) % 256}.lock"  # by its size, so that a copy of it waits too
    with FileLock(subfolder("downloads") / lock):
        admitted = admit(file)
        try:
            yield admitted
        finally:
            if admitted.is_new and not in_use(admitted.sha256):
                admitted.path.unlink(missing_ok=True)


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
