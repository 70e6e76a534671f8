"""Weights as ultralytics' models, its older versions and other tools leave them: read, or named with what helps."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from recommender.checkpoints.quarantine.__main__ import examine
from recommender.checkpoints.quarantine.placeholders import MAX_MODULES
from recommender.checkpoints.quarantine.refusal import RefusalError
from recommender.errors import CheckpointError
from recommender.families.ultralytics.recognition import recognise
from recommender.ultralytics_safety import prepare_ultralytics
from tests.checkpoints.kit import NAMES, admit, as_if_trained, random_model, save_ultralytics
from tests.hostile.bombs import NamedCall

pytestmark = pytest.mark.slow  # networks are built, saved and read

# ── every head and family ────────────────────────────────────────────────────

MODELS = {
    "Classify": "ClassificationModel",
    "Segment": "SegmentationModel",
    "Segment26": "SegmentationModel",
    "Pose": "PoseModel",
    "Pose26": "PoseModel",
    "OBB": "OBBModel",
    "OBB26": "OBBModel",
    "WorldDetect": "WorldModel",
    "YOLOEDetect": "YOLOEModel",
    "YOLOESegment": "YOLOESegModel",
    "YOLOESegment26": "YOLOESegModel",
    "RTDETRDecoder": "RTDETRDetectionModel",
    "Depth": "DepthModel",
    "SemanticSegment": "SemanticSegmentationModel",
}
REFUSED = {
    "WorldModel": "YOLO-World",
    "YOLOEModel": "YOLOE",
    "YOLOESegModel": "YOLOE",
}
UNBUILDABLE = {"TorchVision"}  # fetches weights when it is built


@functools.cache
def shipped() -> dict[str, dict[str, Any]]:
    """Every model description of the installed ultralytics by file name, shrunk to a quarter of its width."""
    prepare_ultralytics()
    import ultralytics
    from ultralytics.nn.tasks import yaml_model_load

    found = {}
    for file in sorted((Path(ultralytics.__file__).parent / "cfg" / "models").rglob("*.yaml")):
        content = yaml_model_load(file) | {
            "yaml_file": file.name,
            "width_multiple": 0.25,
            "depth_multiple": 0.33,
        }
        if content.get("scales"):
            content |= {"scales": {"n": [0.33, 0.25, 256]}, "scale": "n"}
        found[file.name] = content
    return found


def modules_of(content: dict[str, Any]) -> set[str]:
    return {row[2] for part in ("backbone", "head") for row in content[part]}


@functools.cache
def one_of_each_head() -> tuple[str, ...]:
    """The description with the fewest layers for each kind of head."""
    by_size = sorted(shipped().items(), key=lambda item: len(item[1]["backbone"] + item[1]["head"]))
    chosen: dict[str, str] = {}
    for name, content in by_size:
        if not modules_of(content) & UNBUILDABLE:
            chosen.setdefault(content["head"][-1][2], name)
    return tuple(chosen.values())


def check_admission(name: str, folder: Path) -> None:
    import ultralytics.nn.tasks as tasks

    content = shipped()[name]
    kind = MODELS.get(content["head"][-1][2], "DetectionModel")
    model = getattr(tasks, kind)(content, ch=3, nc=3, verbose=False)
    file = save_ultralytics(folder / "x.pt", model)
    if kind in REFUSED:
        with pytest.raises(RefusalError, match=REFUSED[kind]) as caught:
            examine(file, folder)
        assert "recommend checkpoints fetch" in caught.value.remedy
        return
    tensors, facts = examine(file, folder)
    assert tensors.keys() == model.state_dict().keys()
    assert [layer[1] for layer in facts["layers"]] == [
        row[2] for row in content["backbone"] + content["head"]
    ]


@pytest.mark.slow
def test_a_saved_model_of_every_head_is_read_or_named(tmp_path: Path) -> None:
    for name in one_of_each_head():
        check_admission(name, tmp_path)


@pytest.mark.slow
def test_a_saved_model_of_every_other_description_too(tmp_path: Path) -> None:
    for name, content in shipped().items():
        if modules_of(content) & UNBUILDABLE or name in one_of_each_head():
            continue
        if name.startswith("yolov9e"):
            content.update(width_multiple=1.0, depth_multiple=1.0)  # its fusions only fit unshrunk
        check_admission(name, tmp_path)


def test_yolov10_is_recognised_from_its_saved_model(tmp_path: Path) -> None:
    tensors, facts = examine(save_ultralytics(tmp_path / "x.pt", random_model("yolov10n")), tmp_path)
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    found = recognise(shapes, task=facts["task"], layers=facts["layers"])
    assert (found.architecture.name, found.extent, found.num_classes) == ("yolov10n", "whole", 3)


# ── another function under the same shapes ───────────────────────────────────


def changed_layers(index: int, arguments: list[Any], *, source: Any = -1) -> list[list[Any]]:
    content = random_model().yaml
    rows: Any = content["backbone"] + content["head"]  # type: ignore[index]
    layers = [[row[0], row[2], list(row[3])] for row in rows]
    layers[index] = [source, layers[index][1], arguments]
    return layers


SHAPES = {key: tuple(tensor.shape) for key, tensor in random_model().state_dict().items()}


@pytest.mark.parametrize(
    ("index", "arguments", "told"),
    [
        (9, [1024, 9], r"layer 9 is SPPF\[1024, 9\].*has SPPF\[1024, 5\]"),
        (11, [None, 2, "bilinear"], "bilinear"),
        (1, [128, 3, 1], "layer 1"),
        (4, [512, True, 0.25], "layer 4"),
    ],
)
def test_another_pooling_or_upsampling_is_another_function(
    index: int, arguments: list[Any], told: str
) -> None:
    with pytest.raises(CheckpointError, match=told):
        recognise(SHAPES, layers=changed_layers(index, arguments))


def test_other_wiring_is_another_function() -> None:
    with pytest.raises(CheckpointError, match="layer 5"):
        recognise(SHAPES, layers=changed_layers(5, [256, 3, 2], source=2))


def test_channels_written_otherwise_and_another_head_are_the_same_function() -> None:
    """The sizes of YOLOv8 once had a file each, with channels of their own in it."""
    layers = changed_layers(9, [768, 5])
    layers[11][2] = ["None", 2, "nearest"]
    layers[-1] = [[16, 19, 22], "Segment", [3, 32, 256]]
    assert recognise(SHAPES, layers=layers).architecture.name == "yolo11n"


@pytest.mark.slow
def test_a_model_of_another_pooling_is_refused_whole(tmp_path: Path, home: Path) -> None:
    from ultralytics.nn.tasks import DetectionModel

    description: Any = random_model().yaml
    description["backbone"][9][3] = [1024, 9]
    model = DetectionModel(description, ch=3, nc=3, verbose=False)
    with pytest.raises(CheckpointError, match="another function"):
        admit(save_ultralytics(tmp_path / "x.pt", model))
    assert list((home / "checkpoints").iterdir()) == []


def test_a_description_that_explodes_when_written_out_is_left(tmp_path: Path) -> None:
    model: Any = random_model()
    bomb: list[Any] = [1]
    for _ in range(60):
        bomb = [bomb, bomb]
    model.yaml["backbone"][0][3] = bomb
    assert examine(save_ultralytics(tmp_path / "x.pt", model), tmp_path)[1]["layers"] is None


# ── wrappers, masks, settings ────────────────────────────────────────────────


def tiny() -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    as_if_trained(model)
    return model


def test_a_wrapper_for_several_gpus_gives_its_model(tmp_path: Path) -> None:
    model = random_model()
    expected = model.state_dict().keys()
    tensors, facts = examine(save_ultralytics(tmp_path / "x.pt", nn.DataParallel(model)), tmp_path)
    assert tensors.keys() == expected
    assert (facts["class_names"], facts["task"]) == (list(NAMES), "detection")


def nested(state: dict[str, Tensor]) -> dict[str, Any]:
    return {
        "ema with a module": {"ema": {"module": state, "updates": 7}},
        "ema with a model": {"model": None, "ema": {"model": {"state_dict": state}}},
        "averaged beside plain": {
            "model": {k: v + 1 for k, v in state.items()},
            "model_ema": {"module": state},
        },
        "shadow": {"ema": {"decay": 0.99, "shadow": state}},
    }


@pytest.mark.parametrize("form", nested({}))
def test_averaged_weights_are_found_however_deep(form: str, tmp_path: Path) -> None:
    state = {f"model.{key}": tensor for key, tensor in tiny().state_dict().items()}
    torch.save(nested(state)[form], tmp_path / "x.pt")
    tensors, _ = examine(tmp_path / "x.pt", tmp_path)
    assert tensors.keys() == state.keys()
    assert torch.equal(tensors["model.0.weight"], state["model.0.weight"])


def test_an_averaging_object_gives_its_model(tmp_path: Path) -> None:
    from ultralytics.utils.torch_utils import ModelEMA

    model = random_model(seed=3)
    averaging = ModelEMA(model)
    averaging.decay = (
        0.99  # the function it computes it by cannot be pickled, so trainers that save it do the same
    )
    torch.save({"ema": averaging, "model": None}, tmp_path / "x.pt")
    tensors, _ = examine(tmp_path / "x.pt", tmp_path)
    assert torch.equal(tensors["model.0.conv.weight"], model.state_dict()["model.0.conv.weight"])


def test_prune_masks_are_applied(tmp_path: Path) -> None:
    model = tiny()
    pruned: Any = prune.l1_unstructured
    pruned(model[0], "weight", amount=0.5)
    expected = model[0].weight.detach().clone()  # type: ignore[operator]
    assert (expected == 0).sum() == 54
    for content in ({"model": model}, {"state_dict": model.state_dict()}):
        torch.save(content, tmp_path / "x.pt")
        tensors, _ = examine(tmp_path / "x.pt", tmp_path)
        assert torch.equal(tensors["model.0.weight"], expected)
        assert not [key for key in tensors if "mask" in key or "orig" in key]


@contextlib.contextmanager
def omegaconf_8_0_0() -> Iterator[Callable[[dict[str, Any]], Any]]:
    """The classes that a pickle of omegaconf names, with the attributes it keeps its content in."""
    names = {"base": ["ContainerMetadata", "Metadata"], "dictconfig": ["DictConfig"], "nodes": ["AnyNode"]}
    kinds: dict[str, Any] = {}
    modules = {"omegaconf": types.ModuleType("omegaconf")}
    for module, classes in names.items():
        modules[f"omegaconf.{module}"] = types.ModuleType(f"omegaconf.{module}")
        for name in classes:
            kinds[name] = type(name, (), {"__module__": f"omegaconf.{module}"})
            setattr(modules[f"omegaconf.{module}"], name, kinds[name])

    def made(kind: str, **attributes: Any) -> Any:
        instance = kinds[kind]()
        instance.__dict__.update(attributes)
        return instance

    def config(content: dict[str, Any]) -> Any:
        meta = made("ContainerMetadata", ref_type=Any, object_type=dict, flags={})
        nodes = {
            k: made("AnyNode", _val=v, _metadata=made("Metadata", ref_type=Any)) for k, v in content.items()
        }
        return made("DictConfig", _content=nodes, _metadata=meta, _parent=None)

    with pytest.MonkeyPatch.context() as patch:
        for name, stub in modules.items():
            patch.setitem(sys.modules, name, stub)
        yield config


def test_the_settings_of_ultralytics_8_0_0_are_read(tmp_path: Path) -> None:
    with omegaconf_8_0_0() as config:
        torch.save(
            {"model": tiny(), "train_args": config({"imgsz": 416, "epochs": 30, "freeze": None})},
            tmp_path / "x.pt",
        )
    _, facts = examine(tmp_path / "x.pt", tmp_path)
    assert (facts["imgsz"], facts["epochs"]) == (416, 30)


# ── bounded ──────────────────────────────────────────────────────────────────


def test_modules_shared_along_2_to_the_38_paths_are_refused_at_once(tmp_path: Path) -> None:
    module: nn.Module = nn.Identity()
    for _ in range(38):
        parent = nn.Module()
        parent.add_module("a", module)
        parent.add_module("b", module)
        module = parent
    torch.save({"model": module}, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 20_000
    began = time.process_time()
    with pytest.raises(RefusalError, match=f"more than {MAX_MODULES:,}"):
        examine(tmp_path / "x.pt", tmp_path)
    assert time.process_time() - began < 10


def test_dicts_shared_along_many_paths_are_refused_at_once(tmp_path: Path) -> None:
    inside: dict[str, Any] = {"epoch": 1}
    for _ in range(12):
        inside = dict.fromkeys(("ema", "model", "state_dict", "net", "module"), inside)
    torch.save(inside, tmp_path / "x.pt")
    began = time.process_time()
    with pytest.raises(RefusalError, match="no weights"):
        examine(tmp_path / "x.pt", tmp_path)
    assert time.process_time() - began < 10


# ── other tools ──────────────────────────────────────────────────────────────

FOREIGN: dict[str, tuple[bytes, str, str]] = {
    "TensorRT of ultralytics": (
        b"\x20\x01\0\0" + b'{"description": "Ultralytics", ' + bytes(300),
        "TensorRT",
        r"\.pt",
    ),
    "TensorRT plan": (b"ftrt" + bytes(64), "TensorRT", r"\.pt"),
    "Darknet": (b"\0\0\0\0\2\0\0\0\5\0\0\0" + bytes(64), "Darknet", "fetch yolov3u"),
    "OpenVINO": (b'<?xml version="1.0"?>\n<net name="Model0" version="11">', "OpenVINO", r"\.pt"),
    "NCNN": (b"7767517\n235 280\n", "NCNN", r"\.pt"),
    "YOLOv9": (NamedCall("models.common", "RepNCSPELAN4").bytes(), "original YOLOv9", "fetch yolov9c"),
    "YOLOv7": (NamedCall("models.yolo", "IDetect").bytes(), "original YOLOv7", "fetch"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_other_tools_are_named(kind: str, tmp_path: Path) -> None:
    content, reason, remedy = FOREIGN[kind]
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(RefusalError, match=reason) as caught:
        examine(tmp_path / "x.pt", tmp_path)
    assert re.search(remedy, caught.value.remedy)


def test_a_repository_is_told_by_the_classes_it_alone_has(tmp_path: Path) -> None:
    """YOLOv9 and YOLOv5 share `models.yolo`; what else a pickle names tells them apart."""
    from recommender.checkpoints.quarantine.foreign import foreign_pickle

    shared = ["models.yolo.DetectionModel", "models.common.Conv"]
    for more, told in (
        ("models.common.C3", "YOLOv5"),
        ("models.common.ADown", "YOLOv9"),
        ("models.yolo.IDetect", "YOLOv7"),
    ):
        refusal = foreign_pickle([*shared, more])
        assert refusal is not None
        assert told in refusal.reason
    assert foreign_pickle(["ultralytics.nn.modules.block.ADown"]) is None


def test_a_plain_pickle_of_omegaconf_runs_nothing() -> None:
    """The names let in for old settings are placeholders like all others."""
    from recommender.checkpoints.quarantine.placeholders import Placeholder, placeholders

    made = placeholders(["omegaconf.dictconfig.DictConfig", "typing.Any", "builtins.dict"])
    assert all(issubclass(kind, Placeholder) for kind, _ in made)
    with pytest.raises(RefusalError):
        placeholders(["builtins.eval"])
