"""A checkpoint in the formats that devices run: ONNX and whatever else ultralytics exports to."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from recommender.checkpoints.export import export_pt
from recommender.errors import ConflictError, StorageError, UnavailableError, UsageError
from recommender.leftovers import TEMPORARY
from recommender.records import Checkpoint
from recommender.ultralytics_safety import prepare_ultralytics

# file ending: (ultralytics' name of the format, the package it wants)
FORMATS: dict[str, tuple[str, str | None]] = {
    ".onnx": ("onnx", "onnx"),
    ".torchscript": ("torchscript", None),
    ".engine": ("engine", "tensorrt"),
    ".mlpackage": ("coreml", "coremltools"),
    "_openvino_model": ("openvino", "openvino"),
    "_ncnn_model": ("ncnn", "ncnn"),
    ".tflite": ("tflite", "tensorflow"),
}


def export_format(file: Path) -> str | None:
    """The ending of `FORMATS` that a file name has; None for others, `.pt` among them."""
    return next((ending for ending in FORMATS if file.name.endswith(ending)), None)


def export_deployed(checkpoint: Checkpoint, file: Path, *, imgsz: int, overwrite: bool = False) -> Path:
    """Write the checkpoint in the format its file name ends in, for square images of `imgsz` pixels.

    Raises:
        UsageError: no known ending. ConflictError: something is there already. UnavailableError: the format's package
        is not installed, or it cannot be made on this machine. StorageError: it cannot be written.
    """
    ending = export_format(file)
    if ending is None:
        raise UsageError(
            f"{file} ends in no format that is known.", remedy=f"Use .pt or one of {', '.join(FORMATS)}."
        )
    if file.exists() and not overwrite:
        raise ConflictError(f"{file} exists already.", remedy="Choose another name, or pass --force.")
    name, package = FORMATS[ending]
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
        weights = export_pt(checkpoint, Path(folder) / "model.pt")
        made = _converted(weights, name, package, imgsz)
        try:
            if file.is_dir():
                shutil.rmtree(file)
            shutil.move(str(made), str(file))
        except OSError as error:
            raise StorageError(
                f"{file} cannot be written: {error}.", remedy="Check its folder and the free space."
            ) from error
    return file


def _converted(weights: Path, name: str, package: str | None, imgsz: int) -> Path:
    prepare_ultralytics()
    from ultralytics import YOLO

    extra = {"simplify": False} if name == "onnx" else {}  # the simplifier is one more package
    try:
        return Path(YOLO(str(weights)).export(format=name, imgsz=imgsz, verbose=False, **extra))
    except Exception as error:  # ultralytics raises whatever its exporters do
        wanted = f"Install what it needs: pip install {package}." if package else "See the message."
        raise UnavailableError(
            f"ultralytics cannot export to {name} here: {' '.join(str(error).split())[:300]}.", remedy=wanted
        ) from error
