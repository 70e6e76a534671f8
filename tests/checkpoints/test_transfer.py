"""The part of a checkpoint that reaches a target's model: applied and counted."""

from __future__ import annotations

import pytest
import torch

from recommender.checkpoints import build_model, coverage, require_filled, transfer
from recommender.errors import UsageError
from recommender.families.ultralytics.models import tensor_shapes
from recommender.records import Checkpoint, TransferCoverage
from tests.checkpoints.kit import state_of, yolov5_state

COCO_LIKE = ("person", "car", *(f"thing {word}" for word in "abcdefghijklmnopqrstuvwxyz" * 3))[:80]
HEAD = "model.23"


def counted_by_hand(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], names: set[str]) -> int:
    """Numbers that changed among the parameters: random weights never agree by chance."""
    return sum(int((before[key] != after[key]).sum()) for key in names)


def test_the_same_model_transfers_whole() -> None:
    state, names = state_of(), ("person", "hat", "glove")
    model = build_model("yolo11n", 3)
    found = transfer(state, names, model, names)
    assert found.share() == 1.0
    assert (found.classes_matched, found.num_classes) == (3, 3)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_class_rows_follow_their_names() -> None:
    state = state_of(names=COCO_LIKE)
    model = build_model("yolo11n", 3)
    found = transfer(state, COCO_LIKE, model, ("automobile", "unseen", "Persons"))
    weight = model.state_dict()[f"{HEAD}.cv3.0.2.weight"]
    source = state[f"{HEAD}.cv3.0.2.weight"]
    assert found.classes_matched == 2
    assert torch.equal(weight[0], source[1])
    assert torch.equal(weight[2], source[0])
    assert not torch.equal(weight[1], source[1])


def test_unrelated_classes_of_equal_number_do_not_count() -> None:
    """ultralytics copies these rows by shape and reports 499 of 499."""
    state = state_of(names=("person", "hat", "glove"), seed=1)
    model = build_model("yolo11n", 3)
    rows = model.state_dict()[f"{HEAD}.cv3.0.2.weight"].clone()
    found = transfer(state, ("person", "hat", "glove"), model, ("cell", "platelet", "nucleus"))
    assert found.classes_matched == 0
    assert torch.equal(model.state_dict()[f"{HEAD}.cv3.0.2.weight"], rows)
    missing = round((1 - found.share()) * sum(layer.num_parameters for layer in found.layers))
    assert missing == 3 * 3 * (64 + 0) + 3 * 3  # three levels: 64 weights and a bias for each of three rows


def test_unknown_source_classes_match_nothing() -> None:
    assert (
        transfer(state_of(), None, build_model("yolo11n", 3), ("person", "hat", "glove")).classes_matched == 0
    )


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "target"), [("yolo11s", "yolo11n"), ("yolov8n", "yolo11n")])
def test_other_sizes_and_families_are_counted_as_they_come(architecture: str, target: str) -> None:
    state = state_of(architecture)
    torch.manual_seed(9)
    model = build_model(target, 3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = transfer(state, ("a cat", "a dog", "a cow"), model, ("person", "hat", "glove"))
    after, names = model.state_dict(), {key for key, _ in model.named_parameters()}
    # batch norms and constants start equal everywhere, so only convolutions show that they moved
    convolutions = {key for key in names if after[key].dim() == 4 and "dfl" not in key}
    moved = {key for key in convolutions if not torch.equal(before[key], after[key])}
    assert moved == {key for key in convolutions if key in state and torch.equal(after[key], state[key])}
    assert counted_by_hand(before, after, moved) <= round(
        found.share() * sum(x.num_parameters for x in found.layers)
    )
    assert 0 < found.share() < 0.9


def test_a_batch_norm_without_its_convolution_stays_behind() -> None:
    state = state_of()
    state["model.5.bn.weight"] = torch.full_like(state["model.5.bn.weight"], 7.0)
    state["model.5.conv.weight"] = torch.zeros(1, 2, 3, 3)
    model = build_model("yolo11n", 3)
    found = transfer(state, None, model, ("person", "hat", "glove"))
    assert not (model.state_dict()["model.5.bn.weight"] == 7.0).any()
    assert [layer.num_transferred for layer in found.layers if layer.layer == 5] == [0]


@pytest.mark.parametrize("channels", [1, 4])
def test_a_first_convolution_of_other_channels_fills_those_in_common(channels: int) -> None:
    state = state_of(seed=1)
    state["model.0.conv.weight"] = torch.rand(16, channels, 3, 3)
    model = build_model("yolo11n", 3)
    before = model.state_dict()["model.0.conv.weight"].clone()
    found = transfer(state, None, model, ("person", "hat", "glove"))
    after, shared = model.state_dict()["model.0.conv.weight"], min(channels, 3)
    assert torch.equal(after[:, :shared], state["model.0.conv.weight"][:, :shared])
    assert torch.equal(after[:, shared:], before[:, shared:])
    assert torch.equal(model.state_dict()["model.0.bn.weight"], state["model.0.bn.weight"])
    first = found.layers[0]
    assert first.num_parameters - first.num_transferred == 16 * (3 - shared) * 9
    assert [layer.layer for layer in found.incomplete(below=11)] == ([0] if channels == 1 else [])


def test_freezing_is_refused_by_the_names_of_the_layers_that_stay_random() -> None:
    state = {key: value for key, value in state_of().items() if int(key.split(".")[1]) not in (9, 10)}
    found = transfer(state, None, build_model("yolo11n", 3), ("person", "hat", "glove"))
    with pytest.raises(UsageError, match=r"x:freeze .*: 9 \(SPPF\), 10 \(C2PSA\)") as caught:
        require_filled("x", found, 11)
    assert "x:full" in str(caught.value.remedy)
    require_filled("x", transfer(state_of(), None, build_model("yolo11n", 3), ("person", "hat", "glove")), 11)


def test_group_norm_weights_do_not_pose_as_batch_norm() -> None:
    state = {key: value for key, value in state_of().items() if not key.startswith("model.0.bn.running")}
    state["model.0.bn.weight"] = torch.full_like(state["model.0.bn.weight"], 7.0)
    model = build_model("yolo11n", 3)
    transfer(state, None, model, ("person", "hat", "glove"))
    assert not (model.state_dict()["model.0.bn.weight"] == 7.0).any()


def test_hidden_class_layers_of_eighty_classes_reach_two() -> None:
    state = state_of(names=COCO_LIKE)
    model = build_model("yolo11n", 2)
    transfer(state, COCO_LIKE, model, ("cell", "nucleus"))
    key = f"{HEAD}.cv3.1.1.1.conv.weight"
    assert torch.equal(model.state_dict()[key], state[key])
    assert model.eval()(torch.zeros(1, 3, 64, 64))[0].shape[1] == 6


def test_running_statistics_travel_too() -> None:
    state = state_of()
    state["model.2.cv1.bn.running_var"] += 3.0
    model = build_model("yolo11n", 3)
    transfer(state, None, model, ("person", "hat", "glove"))
    assert torch.equal(model.state_dict()["model.2.cv1.bn.running_var"], state["model.2.cv1.bn.running_var"])


def test_anchor_heads_bring_backbone_and_neck() -> None:
    found = transfer(yolov5_state(), None, build_model("yolov5n", 3), ("person", "hat", "glove"))
    assert (found.share("backbone"), found.share("neck")) == (1.0, 1.0)
    assert found.share("head") == 0.0


def test_order_of_the_targets_classes_does_not_matter() -> None:
    state = state_of(names=COCO_LIKE)
    forward = transfer(state, COCO_LIKE, build_model("yolo11n", 3), ("person", "car", "unseen"))
    backward = transfer(state, COCO_LIKE, build_model("yolo11n", 3), ("unseen", "car", "person"))
    assert forward == backward


@pytest.mark.parametrize(
    ("architecture", "target", "names"),
    [
        ("yolo11n", None, ("person", "hat")),
        ("yolov8n", "yolo11n", ("cell",)),
        pytest.param("yolov8n", None, tuple(f"sign {i}" for i in range(120)), marks=pytest.mark.slow),
        pytest.param("yolo26n", None, ("person", "hat"), marks=pytest.mark.slow),
        pytest.param("yolo26n", "yolo11n", ("person", "hat"), marks=pytest.mark.slow),
    ],
)
def test_coverage_is_what_transfer_counts(
    architecture: str, target: str | None, names: tuple[str, ...]
) -> None:
    checkpoint = Checkpoint(
        name="x", origin="catalogue", architecture=architecture, family="any", class_names=COCO_LIKE
    )
    state = state_of(architecture, COCO_LIKE)
    applied = transfer(state, COCO_LIKE, build_model(target or architecture, len(names)), names)
    assert coverage(checkpoint, target, names) == applied


def test_coverage_survives_a_damaged_cache(home: object) -> None:
    checkpoint = Checkpoint(
        name="x", origin="catalogue", architecture="yolo11n", family="yolo11", class_names=COCO_LIKE
    )
    tensor_shapes.cache_clear()
    first = coverage(checkpoint, None, ("person",))
    from recommender.home import subfolder

    cached = list(subfolder("cache").glob("shapes-*-yolo11n.json"))
    assert len(cached) == 1
    cached[0].write_text(cached[0].read_text(encoding="utf-8")[:-40], encoding="utf-8")
    tensor_shapes.cache_clear()
    assert coverage(checkpoint, None, ("person",)) == first


def test_share_of_nothing_is_zero() -> None:
    assert TransferCoverage(layers=(), classes_matched=0, num_classes=1).share() == 0.0
