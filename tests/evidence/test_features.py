"""A candidate's backbone gives the features its own network computes, and scores follow from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.checkpoints import build_model, load_state
from recommender.errors import CheckpointError, IntegrityError
from recommender.evidence import estimators_for
from recommender.evidence.samples import BACKGROUND, TargetSample
from recommender.evidence.scores import MIN_OBJECTS, box_features, load_backbone, reduce, scores_of
from recommender.evidence.table import standardise
from recommender.families.ultralytics import backbone
from recommender.families.ultralytics.architectures import architecture
from recommender.families.ultralytics.backbone import STRIDES
from tests.evidence.kit import random_checkpoint, stored


def _squares(count: int = 2, size: int = 64) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 3, size, size), dtype=np.uint8)


# yolov9e's layers read several earlier ones, yolov8n has no attention, yolo12n no fixed pooling layer.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolo11n", "yolov8n", "yolov5n", "yolo12n", "yolov9t"])
def test_the_maps_are_those_of_the_whole_network(name: str, tmp_path: Path) -> None:
    import torch

    checkpoint = random_checkpoint(tmp_path, architecture=name)
    model: Any = build_model(name, 2)
    model.load_state_dict(load_state(checkpoint))
    model.eval()
    seen: dict[int, Any] = {}

    def remember(_module: Any, _inputs: Any, output: Any) -> None:
        seen[64 // output.shape[-1]] = output.clone()

    for layer in model.model[: architecture(name).num_backbone_layers]:
        layer.register_forward_hook(remember)
    squares = _squares()
    with torch.inference_mode():
        model(torch.from_numpy(squares).float() / 255)
    found = load_backbone(checkpoint).maps(squares)
    assert tuple(found) == STRIDES
    for stride, map_NCHW in found.items():
        assert torch.allclose(map_NCHW, seen[stride], rtol=1e-3, atol=1e-4)
        assert map_NCHW.std() > 1e-3


@pytest.mark.slow  # no small architecture has such layers
def test_layers_that_read_several_others_run(tmp_path: Path) -> None:
    found = load_backbone(random_checkpoint(tmp_path, architecture="yolov9e")).maps(_squares(1))
    assert tuple(sorted(found)) == STRIDES


def test_building_a_backbone_leaves_torchs_random_numbers_alone(tmp_path: Path) -> None:
    import torch

    checkpoint = random_checkpoint(tmp_path)
    backbone._built_backbone.cache_clear()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_backbone(checkpoint)
    assert torch.equal(torch.rand(4), expected)


def test_a_backbone_counts_up_to_the_first_layer_that_is_not_filled(tmp_path: Path) -> None:
    """A classifier brings the first nine layers of a detector's backbone."""
    whole = random_checkpoint(tmp_path)
    state = {key: tensor for key, tensor in load_state(whole).items() if int(key.split(".")[1]) < 9}
    squares = _squares()
    expected = load_backbone(whole)
    found = load_backbone(stored(tmp_path, "classifier", state))
    assert len(found.layers) == 9
    maps = found.maps(squares)
    assert tuple(maps) == STRIDES
    for stride in STRIDES[:2]:  # of stride 32 a later layer is the detector's last
        assert np.array_equal(maps[stride], expected.maps(squares)[stride])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("model.0.conv.weight", (16, 4, 3, 3)),
        ("model.0.conv.weight", (16, 1, 3, 3)),
        ("model.1.conv.weight", None),
    ],
)
def test_weights_without_the_first_layers_are_not_measured(
    key: str, shape: tuple[int, ...] | None, tmp_path: Path
) -> None:
    import torch

    state = load_state(random_checkpoint(tmp_path))
    del state[key]
    if shape is not None:
        state[key] = torch.rand(*shape)
    with pytest.raises(CheckpointError, match=rf"does not fill layer {key[6]}"):
        load_backbone(stored(tmp_path, "odd", state))


def test_swapped_weights_are_refused(tmp_path: Path) -> None:
    checkpoint = random_checkpoint(tmp_path)
    other = random_checkpoint(tmp_path, "other", seed=1)
    assert checkpoint.path is not None
    assert other.path is not None
    checkpoint.path.write_bytes(other.path.read_bytes())
    with pytest.raises(IntegrityError):
        load_backbone(checkpoint)


def _sample(boxes: tuple[Any, ...], squares: Any, labels: Any = None) -> TargetSample:
    count = sum(map(len, boxes))
    return TargetSample(
        squares_N3SS=squares,
        boxes=boxes,
        labels_M=np.zeros(count, dtype=np.int64) if labels is None else labels,
        images_M=np.repeat(np.arange(len(boxes)), [len(one) for one in boxes]),
        shapes_M4=np.full((count, 4), 0.5),
    )


@pytest.mark.slow
def test_box_features_are_means_over_the_map_in_the_order_of_the_boxes(tmp_path: Path) -> None:
    backbone = load_backbone(random_checkpoint(tmp_path))
    squares = _squares(18)  # more than a batch
    whole, quarter = [0.0, 0.0, 1.0, 1.0], [0.5, 0.0, 1.0, 0.5]
    boxes = tuple(np.array([whole, quarter]) for _ in squares)
    found = box_features(backbone, _sample(boxes, squares))
    for stride in STRIDES:
        maps = [backbone.maps(squares[i : i + 1])[stride][0] for i in range(18)]
        half = 64 // stride // 2
        expected = np.stack(
            [
                part
                for m in maps
                for part in (m.mean(dim=(1, 2)).numpy(), m[:, :half, half:].mean(dim=(1, 2)).numpy())
            ]
        )
        assert found[stride] == pytest.approx(expected, abs=2e-3)


def _levels(labels: Any, *, separation: float, seed: int = 0) -> dict[int, Any]:
    """Two levels of features; only the second tells the classes."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, 32))
    noise = rng.normal(size=(2, len(labels), 32)).astype(np.float32)
    return {8: noise[0], 16: (noise[1] + separation * centres[labels]).astype(np.float32)}


def _labelled(labels: Any) -> TargetSample:
    rng = np.random.default_rng(1)
    sample = _sample((np.zeros((len(labels), 4)),), np.zeros((1, 3, 32, 32), dtype=np.uint8), labels)
    sizes = rng.uniform(0.05, 0.5, (len(labels), 4))
    return replace(sample, images_M=np.arange(len(labels)), shapes_M4=sizes)


OF_WHOLE_CHECKPOINTS = {"zero_shot_map"}  # not of their features


def test_scores_follow_the_level_that_tells_the_classes() -> None:
    labels = np.arange(120) % 3
    sample = _labelled(labels)
    poor, fair, good = (scores_of(_levels(labels, separation=s), sample) for s in (0.0, 0.5, 2.0))
    for name in ("knn_accuracy", "logme_classes", "h_score"):
        values = [one[name] for one in (poor, fair, good)]
        assert None not in values
        assert values == sorted(values)  # type: ignore[type-var]
    assert good["knn_accuracy"] == pytest.approx(1.0)
    assert set(good) == {row.name for row in estimators_for("detect")}


def test_one_class_and_its_background_can_be_told_apart() -> None:
    labels = np.where(np.arange(80) % 2, 0, BACKGROUND)
    scores = scores_of(_levels(labels, separation=2.0), _labelled(labels))
    assert scores["knn_accuracy"] == pytest.approx(1.0)
    assert {name for name, value in scores.items() if value is None} == OF_WHOLE_CHECKPOINTS


@pytest.mark.slow
def test_a_wider_network_gains_nothing_by_its_width() -> None:
    labels = np.arange(400) % 4
    sample, rng = _labelled(labels), np.random.default_rng(0)
    narrow = {8: rng.normal(size=(400, 64)).astype(np.float32)}
    wide = {8: rng.normal(size=(400, 1024)).astype(np.float32)}
    scores, others = scores_of(narrow, sample), scores_of(wide, sample)
    for name in scores.keys() - OF_WHOLE_CHECKPOINTS:
        value, other = scores[name], others[name]
        assert value is not None
        assert other is not None
        assert abs(other - value) < 0.1


def test_too_few_objects_say_nothing() -> None:
    labels = np.arange(2 * MIN_OBJECTS - 2) % 2 - 1  # half of them background
    nothing = scores_of(_levels(labels, separation=2.0), _labelled(labels))
    assert set(nothing.values()) == {None}
    enough = np.arange(MIN_OBJECTS) % 2
    broken = {8: np.full((MIN_OBJECTS, 4), np.nan, np.float32)}  # what odd weights may compute
    assert scores_of(broken, _labelled(enough)) == nothing
    assert scores_of({}, _labelled(enough)) == nothing


def test_standardising_and_reducing_keep_what_they_should() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(200, 5)) * [1, 10, 100, 0, 1e-3] + 7).astype(np.float32)
    plain = standardise(features)
    assert plain.mean(axis=0) == pytest.approx(np.zeros(5), abs=1e-6)
    assert plain.std(axis=0)[[0, 1, 2, 4]] == pytest.approx(np.ones(4), abs=1e-3)
    assert not plain[:, 3].any()
    line = np.outer(rng.normal(size=200), [1.0, 2.0, 3.0])
    assert reduce(line, 1).std() == pytest.approx(1.0, rel=0.05)
    assert abs(np.corrcoef(reduce(line, 1)[:, 0], line[:, 0])[0, 1]) == pytest.approx(1.0)
    assert reduce(np.zeros((8, 3))).shape == (8, 2)


def test_wide_and_tall_features_reduce_to_the_same_components() -> None:
    rng = np.random.default_rng(0)
    tall = rng.normal(size=(40, 12)) * np.arange(1, 13)
    wide = np.concatenate([tall, np.zeros((40, 60))], axis=1)
    assert np.abs(reduce(wide, 5)) == pytest.approx(np.abs(reduce(tall, 5)), rel=1e-6, abs=1e-9)
