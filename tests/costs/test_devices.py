"""Latencies of real devices: what is measured, what is estimated, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recommender.atomic_files import write_json
from recommender.costs.devices import calibration, calibration_file, device, devices, latency
from recommender.costs.gpus import gpu_memory_mb, gpu_speed
from recommender.errors import UsageError


def test_the_devices_people_name_are_there_with_their_source() -> None:
    known = {one.name: one for one in devices()}
    assert {"rpi5", "jetson-orin", "t4", "a100", "rtx-5070ti", "cpu-onnx"} <= known.keys()
    assert all(one.source and one.models for one in known.values())


def test_the_list_names_the_task_and_the_size_of_what_was_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from recommender.cli.devices import devices as command

    command(as_json=False)
    told = " ".join(capsys.readouterr().out.split())
    for expected in ("object detection at 640 px", "image classification at 224 px", "source: ultralytics"):
        assert expected in told
    command(as_json=True)
    listed = json.loads(capsys.readouterr().out)["devices"]
    sizes = {(m["task"], m["imgsz"]) for one in listed for m in one["measured"] if one["device"] == "t4"}
    assert sizes == {("detect", 640), ("segment", 640), ("classify", 224)}


def test_a_published_number_is_given_as_it_is() -> None:
    found = latency(device("t4"), "yolo26m", 75.6, 640)
    assert found is not None
    assert (found.ms, found.basis) == (4.7, "measured")


@pytest.mark.parametrize(("name", "least_mb"), [("rpi5", 400), ("rpi5-onnx", 400), ("jetson-orin", 700)])
def test_memory_is_that_of_the_whole_process_or_not_known(name: str, least_mb: int) -> None:
    models = device(name).models
    known = [one.memory_mb for one in models.values() if one.memory_mb is not None]
    assert len(known) > 15
    assert min(known) > least_mb  # what a process grew by is 0 to 76 MB
    assert models["rtdetr-x"].memory_mb is None
    at = [latency(device(name), "yolo11n", 6.7, size) for size in (320, 640, 1280)]
    assert [one.memory_mb for one in at if one] == [models["yolo11n"].memory_mb] * 2 + [None]


def test_a_segmenter_of_another_scale_is_estimated_from_a_segmenter() -> None:
    found = latency(device("t4"), "yolov8x-seg-p6", 400.0, 640)
    assert found is not None
    assert "-seg" in found.basis


def test_what_no_table_holds_is_estimated_from_the_nearest_and_said_to_be() -> None:
    found = latency(device("T4"), "yolov8s", 28.8, 640)
    small, large = (latency(device("rpi5"), "yolo11n", 6.7, size) for size in (320, 640))
    assert found is not None
    assert small is not None
    assert large is not None
    assert found.basis == "estimated from yolo26s at 640 px"
    assert 2.0 < found.ms < 4.0
    assert small.ms == pytest.approx(large.ms / 4, rel=0.25)
    assert small.basis != "measured"
    assert latency(device("t4"), "somebody's own", None, 640) is None


def test_a_device_nobody_measured_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="rpi5"):
        device("abacus")
    with pytest.raises(UsageError, match="t4"):
        gpu_speed("abacus")


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        ("RTX 5070 Ti", "rtx-5070ti"),
        ("rtx5070ti", "rtx-5070ti"),
        ("rtx-5070-ti", "rtx-5070ti"),
        ("NVIDIA GeForce RTX 5070 Ti", "rtx-5070ti"),
        ("RTX 4070 Laptop", "rtx-4070-laptop"),
        ("rtx_4070ti_super", "rtx-4070ti-super"),
        ("A100-SXM4-80GB", "a100-80gb"),
        ("NVIDIA A100 80GB PCIe", "a100-80gb"),
        ("NVIDIA A100-PCIE-40GB", "a100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("H100 SXM", "h100"),
        ("GeForce RTX 3080 12 GB", "rtx-3080-12gb"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "rtx-4090-laptop"),
        ("4090", "rtx-4090"),
        ("A6000", "rtx-a6000"),
        ("Tesla T4", "t4"),
        ("L40S", "l40s"),
        ("NVIDIA A10G", "a10g"),
        ("B200", "b200"),
    ],
)
def test_a_gpu_is_known_in_the_spellings_people_type(typed: str, known: str) -> None:
    assert gpu_speed(typed) == gpu_speed(known)


def test_variants_of_a_gpu_with_another_memory_have_another_speed() -> None:
    by_image = {name: gpu_speed(name).image_s for name in ("H100", "H100 PCIe", "A100", "A100 80GB", "V100S")}
    assert by_image["H100 PCIe"] == pytest.approx(1.675 * by_image["H100"])
    assert by_image["A100"] > 1.2 * by_image["A100 80GB"]
    assert by_image["V100S"] < gpu_speed("V100").image_s
    for part in ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "NVIDIA A100X", "Quadro RTX 6000"):
        assert gpu_memory_mb(part) is None  # another chip, or a seventh of one


def test_a_device_is_known_in_the_spellings_people_type() -> None:
    assert device("NVIDIA GeForce RTX 5070 Ti").name == "rtx-5070ti"
    assert device("Jetson_Orin").name == "jetson-orin"


def test_memory_is_what_the_name_says_else_that_of_the_smallest() -> None:
    sizes = [
        gpu_memory_mb(name) for name in ("a100", "NVIDIA A100-SXM4-80GB", "RTX 4060 Ti 16 GB", "gtx 1080")
    ]
    assert sizes == [40 * 1024, 80 * 1024, 16 * 1024, None]


def test_an_unknown_gpu_is_answered_with_those_of_like_names() -> None:
    with pytest.raises(UsageError, match="Did you mean rtx-4090 or "):
        gpu_speed("RTX 4090 D")


def test_this_machine_is_a_device_once_it_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="recommend calibrate"):
        device("this")
    model = {"latency_ms": 50.0, "memory_mb": None, "flops_b": 6.7, "runtime": "pytorch"}
    facts = {"title": "this machine", "source": "recommend calibrate", "per_operation": 0.8, "per_pixel": 1.0}
    write_json(calibration_file(), facts | {"models": {"yolo11n": model}})
    found = latency(device("this"), "yolo11n", 6.7, 1280)
    assert found is not None
    assert found.ms == pytest.approx(200)
    measured = calibration()
    assert measured is not None
    assert measured.document() == facts | {
        "models": {"yolo11n": model | {"imgsz": 640}},
        "gflop_s": None,
        "gpu": None,
    }
    calibration_file().write_text(json.dumps({"models": 3}), encoding="utf-8")
    assert [one.name for one in devices()].count("this") == 0


def test_segmenters_and_classifiers_have_their_own_published_numbers_at_their_own_size() -> None:
    t4, cpu, pi = device("t4"), device("cpu-onnx"), device("rpi5")
    outlines = latency(t4, "yolo11n-seg", 10.0, 640)
    assert outlines is not None
    assert (outlines.ms, outlines.basis) == (1.8, "measured")
    whole = latency(cpu, "yolo11n-cls", 3.3, 224)
    assert whole is not None
    assert (whole.ms, whole.basis) == (5.0, "measured")
    near = latency(
        cpu, "yolov8n-cls", 3.4, 224
    )  # in no table: estimated from a classifier, not from a detector
    assert near is not None
    assert near.basis == "estimated from yolo11n-cls at 224 px"
    assert near.ms == pytest.approx(5.0, rel=0.1)
    elsewhere = latency(pi, "yolo11n-seg", 10.0, 640)
    assert elsewhere is not None
    assert elsewhere.basis == "estimated from yolov8n, a model of another task, at 640 px"
