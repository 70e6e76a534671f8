"""Checkpoints in the formats that devices run, made by ultralytics itself."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from recommender.checkpoints import get_checkpoint
from recommender.checkpoints.deploy import export_deployed, export_format
from recommender.errors import ConflictError, UnavailableError, UsageError
from recommender.store import Store

COCO = "coco-yolo11n"


def test_the_ending_names_the_format() -> None:
    assert export_format(Path("a.onnx")) == ".onnx"
    assert export_format(Path("a_openvino_model")) == "_openvino_model"
    assert export_format(Path("a.pt")) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's tracer
@pytest.mark.parametrize("ending", ["onnx", "torchscript"])
def test_an_exported_model_is_whole_and_replaces_nothing(ending: str, tmp_path: Path, store: Store) -> None:
    pytest.importorskip("onnx")
    checkpoint = get_checkpoint(store, COCO)
    file = tmp_path / f"model.{ending}"
    assert export_deployed(checkpoint, file, imgsz=64) == file
    if ending == "onnx":
        import onnx

        (shape,) = [i.type.tensor_type.shape for i in onnx.load(str(file)).graph.input]
        assert [dim.dim_value for dim in shape.dim] == [1, 3, 64, 64]
    assert file.stat().st_size > 1_000_000
    with pytest.raises(ConflictError):
        export_deployed(checkpoint, file, imgsz=64)


def test_an_unknown_ending_and_a_missing_package_are_named(tmp_path: Path, store: Store) -> None:
    checkpoint = get_checkpoint(store, COCO)
    with pytest.raises(UsageError, match=r"\.onnx"):
        export_deployed(checkpoint, tmp_path / "model.xyz", imgsz=64)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_installed_is_said_with_its_remedy(tmp_path: Path, store: Store) -> None:
    try:
        import_module("tensorrt")

        pytest.skip("TensorRT is installed")
    except ImportError:
        pass
    with pytest.raises(UnavailableError, match="pip install tensorrt"):
        export_deployed(get_checkpoint(store, COCO), tmp_path / "model.engine", imgsz=64)
    assert not (tmp_path / "model.engine").exists()
