"""The weights kept below our home: one safetensors file per content hash, verified at every load."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recommender.errors import CheckpointError, IntegrityError, StorageError, UnavailableError
from recommender.families.row import Shapes
from recommender.home import subfolder
from recommender.records import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

_MAX_HEADER_BYTES = 100 * 2**20  # of a safetensors file, as in the library itself
_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")


def kept_path(sha256: str) -> Path:
    """The path of the weights with this hash."""
    return subfolder("checkpoints") / f"{sha256}.safetensors"


def keep(file: Path, sha256: str) -> Path:
    """Move a finished safetensors file of this sha256 to its place by content; returns the place.

    Raises:
        StorageError: it cannot be written; what was there is intact.
    """
    place = kept_path(sha256)
    with writing(place.parent):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
        file.chmod(0o600)
        file.replace(place)  # also heals a damaged file of the same name
    return place


def keep_copy(file: Path) -> Path:
    """The place by content of a copy of a safetensors file, which stays where it is. Raises StorageError as `keep`."""
    with tempfile.TemporaryDirectory(prefix="copy-", dir=subfolder("checkpoints")) as folder:
        with writing(Path(folder).parent):
            copied = Path(shutil.copyfile(file, Path(folder) / file.name))
        return keep(copied, sha256_of(copied))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Inside, weights are written below this folder. Raises StorageError where the disk refuses."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The weights cannot be kept in {folder}: {error.strerror or error}.",
            remedy="Free some space there, or point RECOMMENDER_HOME elsewhere.",
        ) from error


def load_state(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The checkpoint's tensors, floats as fp32, after its bytes proved to be those recorded.

    Raises:
        UnavailableError: the weights are not on this machine.
        IntegrityError: the file differs from the one recorded, or is gone.
    """
    from safetensors.torch import load

    # The very bytes that were verified are parsed: nobody can swap the file in between.
    state = load(verified_bytes(checkpoint))
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def verified_bytes(checkpoint: Checkpoint) -> bytes:
    """The file's content, of which the sha256 is the recorded one. Raises as `load_state`."""
    path = _path_of(checkpoint)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(
            f"The weights of {checkpoint.name!r} cannot be read from {path}: {error.strerror or error}.",
            remedy=_again(checkpoint),
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != checkpoint.sha256:
        raise IntegrityError(
            f"The weights of {checkpoint.name!r} changed after they were recorded: {path} has sha256 {found}, "
            f"expected {checkpoint.sha256}.",
            remedy=_again(checkpoint),
        )
    return content


def verify(checkpoint: Checkpoint) -> None:
    """Raise as `load_state` unless the file is the recorded one; builds no tensors."""
    verified_bytes(checkpoint)


def stored_shapes(path: Path) -> Shapes:
    """Names and shapes from a safetensors header, without its numbers.

    Raises:
        CheckpointError: it is not a safetensors file.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > _MAX_HEADER_BYTES:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(stream.read(length))
        return {key: tuple(entry["shape"]) for key, entry in header.items() if key != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}).",
            remedy="Add or fetch the checkpoint again.",
        ) from error


def load_tensor(path: Path, key: str) -> Tensor:
    """One tensor of a safetensors file, read alone and not verified: for a first look.

    Raises:
        CheckpointError: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            tensor: Tensor = stored.get_tensor(key)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}).",
            remedy="Add or fetch the checkpoint again.",
        ) from error
    return tensor


def num_parameters(shapes: Shapes) -> int:
    """Parameters among stored tensors: all but the running statistics of batch norms."""
    return sum(math.prod(shape) for key, shape in shapes.items() if not key.endswith(_STATISTICS))


def sha256_of(file: Path) -> str:
    """The sha256 of the file's bytes, read in pieces."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _path_of(checkpoint: Checkpoint) -> Path:
    if checkpoint.path is None:
        raise UnavailableError(
            f"The weights of {checkpoint.name!r} are not on this machine.",
            remedy=_again(checkpoint),
        )
    return checkpoint.path


def _again(checkpoint: Checkpoint) -> str:
    if checkpoint.origin == "zoo":
        return "Install the package again."
    if checkpoint.origin == "catalogue":
        again = " --again" if checkpoint.available else ""
        return f"Fetch them: recommend checkpoints fetch {checkpoint.name}{again}"
    return (
        f"Add the original again: recommend checkpoints remove {checkpoint.name}, "
        f"then recommend checkpoints add FILE --name {checkpoint.name}"
    )
