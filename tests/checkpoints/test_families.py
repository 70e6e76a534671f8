"""RT-DETR goes through the same seam as YOLO: built, recognised, transferred by class name, tapped, silenced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recommender.checkpoints import build_model, coverage, export_pt, transfer
from recommender.checkpoints.quarantine.__main__ import examine
from recommender.families import FAMILIES, family_of_head
from recommender.families.ultralytics.architectures import (
    architecture,
    architectures,
    learning_rate_factor,
)
from recommender.families.ultralytics.backbone import STRIDES, backbone_of
from recommender.families.ultralytics.models import tensor_shapes
from recommender.families.ultralytics.recognition import recognise
from tests.checkpoints.kit import NAMES, random_model, save_ultralytics, state_of
from tests.conftest import ROOT
from tests.evidence.kit import stored

SMALL = "yolov8n-rtdetr"  # the smallest with RT-DETR's decoder
HEAD = "model.22"


def test_every_shipped_architecture_has_one_family() -> None:
    heads = {entry.layers()[-1][1] for entry in architectures().values()}
    assert heads == set.union(*(set(family.heads) for family in FAMILIES))
    assert family_of_head("Pose") is None
    for family in FAMILIES:
        assert [entry.name for entry in architectures().values() if entry.kind is family]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("rtdetr-l", 10),
        ("rtdetr-resnet50", 5),
        (SMALL, 10),
        ("yolov5n", 10),
        ("yolo26n", 11),
        ("yolov9e", 30),
    ],
)
def test_the_backbone_ends_where_the_models_own_description_says(name: str, layers: int) -> None:
    assert architecture(name).num_backbone_layers == layers


@pytest.mark.slow
def test_a_saved_rtdetr_is_recognised(tmp_path: Path) -> None:
    tensors, facts = examine(save_ultralytics(tmp_path / "x.pt", random_model(SMALL)), tmp_path)
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    found = recognise(shapes, task=facts["task"], layers=facts["layers"])
    assert (found.architecture.name, found.extent, found.num_classes) == (SMALL, "whole", 3)


def test_shapes_without_a_model_are_those_of_the_model() -> None:
    model = build_model(SMALL, 5)
    assert tensor_shapes(SMALL, 5).tensors == {key: tuple(t.shape) for key, t in model.state_dict().items()}


def test_class_rows_of_every_score_head_follow_their_names(tmp_path: Path) -> None:
    state = state_of(SMALL)
    model = build_model(SMALL, 2)
    found = transfer(state, NAMES, model, ("glove", "unseen"))
    after = model.state_dict()
    for key in ("enc_score_head.weight", "dec_score_head.3.bias", "denoising_class_embed.weight"):
        assert torch.equal(after[f"{HEAD}.{key}"][0], state[f"{HEAD}.{key}"][2])
        assert not torch.equal(after[f"{HEAD}.{key}"][1], state[f"{HEAD}.{key}"][1])
    assert found.classes_matched == 1
    assert (found.share("backbone"), found.share("neck")) == (1.0, 1.0)
    checkpoint = stored(tmp_path, "x", state, SMALL)
    from dataclasses import replace

    assert coverage(replace(checkpoint, class_names=NAMES), None, ("glove", "unseen")) == found


def test_its_backbone_gives_the_maps_of_the_whole_network() -> None:
    model: Any = random_model(SMALL).eval()
    seen: dict[int, Any] = {}
    for layer in model.model[: architecture(SMALL).num_backbone_layers]:
        layer.register_forward_hook(
            lambda _m, _i, output: seen.update({64 // output.shape[-1]: output.clone()})
        )
    squares = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    with torch.inference_mode():
        model(torch.from_numpy(squares).float() / 255)
    found = backbone_of("x", SMALL, state_of(SMALL)).maps(squares)
    assert tuple(found) == STRIDES
    assert all(torch.allclose(found[stride], seen[stride], rtol=1e-3, atol=1e-4) for stride in STRIDES)


@pytest.mark.parametrize("name", ["yolo11n", "yolo26n", SMALL])
def test_silenced_classes_are_never_predicted(name: str) -> None:
    model: Any = random_model(name).eval()
    head = model.model[-1]
    image = torch.rand(1, 3, 64, 64)
    family = family_of_head(type(head).__name__)
    assert family is not None
    family.silence(head, [0, 2])
    with torch.inference_mode():
        output = model(image)[0]
    scores = output[0, 4:] if family.name == "yolo" and output.shape[1] == 7 else None
    if scores is not None:  # rows of classes, columns of places
        assert scores[1].min() > 0
        assert scores[[0, 2]].max() == 0
    else:  # detections: box, score, class
        assert set(output[0, output[0, :, 4] > 1e-6, 5].tolist()) == {1.0}


def test_it_trains_ten_times_slower_and_in_full_precision() -> None:
    assert (learning_rate_factor("rtdetr-l"), learning_rate_factor("yolo11n")) == (0.1, 1.0)
    assert [family.name for family in FAMILIES if not family.mixed_precision] == ["rtdetr"]


@pytest.mark.slow
def test_it_is_exported_as_ultralytics_reads_it(tmp_path: Path) -> None:
    from dataclasses import replace

    checkpoint = replace(stored(tmp_path, "x", state_of(SMALL), SMALL), class_names=NAMES)
    tensors, facts = examine(export_pt(checkpoint, tmp_path / "out.pt"), tmp_path)
    assert facts["class_names"] == list(NAMES)
    assert torch.equal(
        tensors["model.0.conv.weight"].float(), state_of(SMALL)["model.0.conv.weight"].half().float()
    )


def test_the_files_to_touch_for_a_new_family_exist_and_suffice() -> None:
    """Each named file exists; no other file of ours names what is particular to one family's head."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("### To add a family", 1)[1].split("\n### ", 1)[0]
    named = [part for part in section.split("`")[1::2] if part.endswith((".py", "/"))]
    assert named
    assert all((ROOT / name).exists() for name in named)
    particular = (
        "cv3",
        "one2one_cv3",
        "RTDETR",
        "DetectionModel",
        "dec_score_head",
        "v10Detect",
        "DetectionValidator",
    )
    for folder in ("recommender", "tune_jobs", "service"):
        for file in (ROOT / folder).rglob("*.py"):
            path = file.relative_to(ROOT).as_posix()
            if path.startswith("recommender/families/") or any(path.startswith(name) for name in named):
                continue
            code = "\n".join(
                line for line in file.read_text(encoding="utf-8").splitlines() if '"""' not in line
            )
            assert not [word for word in particular if f".{word}" in code or f'"{word}' in code], path
