"""Row P5: whatever is no usable checkpoint gives one class of error, and says what to do."""

from __future__ import annotations

import json
import pickle
import struct
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from recommender.checkpoints import containment
from recommender.checkpoints.kept_weights import WeightsUser, keeping
from recommender.checkpoints.quarantine.__main__ import examine
from recommender.checkpoints.quarantine.cleaning import never_trained
from recommender.checkpoints.quarantine.refusal import RefusalError
from recommender.errors import CheckpointError
from recommender.families.ultralytics.recognition import recognise
from recommender.tasks import FOREIGN_TASKS
from recommender.ultralytics_safety import prepare_ultralytics
from tests.checkpoints.kit import NAMES, admit, random_model, save_ultralytics
from tests.hostile.bombs import NamedCall

Make = Callable[[Path, bytes], object]


def _flipped(file: Path, good: bytes) -> None:
    damaged = bytearray(good)
    damaged[len(damaged) // 2] ^= 0x10
    file.write_bytes(damaged)


def _torchscript(file: Path, _: bytes) -> None:
    traced: Any = torch.jit.trace  # untyped
    with pytest.warns(DeprecationWarning, match=r"torch\.jit"):
        torch.jit.save(traced(nn.Conv2d(3, 4, 1), torch.zeros(1, 3, 4, 4)), file)


def small_state() -> dict[str, torch.Tensor]:
    """A few tensors of a detector: enough where only their names and numbers matter."""
    return {"model.0.conv.weight": torch.rand(4, 3, 3, 3), "model.1.bn.running_var": torch.rand(4)}


def drawn(*, forward: bool = True, steps: int = 0, frozen: bool = False) -> dict[str, torch.Tensor]:
    """A small network as torch makes it, after an image in training mode and so many steps of training."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16))
    if frozen:
        for layer in (model[1], model[3]):
            layer.eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.002)
    for _ in range(steps):
        loss = model(torch.rand(2, 3, 12, 12)).square().mean()
        loss.backward()
        optimiser.step()
    if forward:
        model(torch.rand(2, 3, 12, 12))
    return {f"model.{key}": tensor for key, tensor in model.state_dict().items()}


def _with(change: Callable[[dict[str, torch.Tensor]], object]) -> Make:
    def make(file: Path, _: bytes) -> None:
        state = small_state()
        change(state)
        torch.save(state, file)

    return make


def _nan(state: dict[str, torch.Tensor]) -> None:
    state["model.0.conv.weight"][0, 0, 0, 0] = float("nan")


def _bomb_archive(file: Path, _: bytes) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**20))
        archive.infolist()[0].file_size = 7 * 2**30  # what a real one would declare


def _numpy(file: Path, _: bytes) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.array([{}]), allow_pickle=True)


BAD: dict[str, tuple[Make, str]] = {
    "empty": (lambda file, _: file.write_bytes(b""), "empty"),
    "truncated": (lambda file, good: file.write_bytes(good[: len(good) // 2]), "truncated"),
    "first bytes only": (lambda file, good: file.write_bytes(good[:40]), "damaged"),
    "text": (lambda file, _: file.write_text("not weights at all\n" * 9), "text file"),
    "model yaml": (
        lambda file, _: file.write_text("nc: 3\nactivation: __import__('os').system('id')\n"),
        "text file",
    ),
    "bit flipped": (_flipped, "checksum"),
    "noise": (lambda file, _: file.write_bytes(np.random.default_rng(0).bytes(4096)), "damaged"),
    "torchscript": (_torchscript, "TorchScript"),
    "onnx": (lambda file, _: file.write_bytes(b"\x08\x07\x12\x07pytorch" + bytes(64)), "export"),
    "tflite": (lambda file, _: file.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64)), "export"),
    "web page": (lambda file, _: file.write_text("<!DOCTYPE html><html>Sign in</html>"), "web page"),
    "git lfs": (
        lambda file, _: file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "LFS",
    ),
    "nan": (_with(_nan), "NaN"),
    "untrained": (lambda file, _: torch.save(drawn(), file), "never trained"),
    "untrained, in half": (
        lambda file, _: torch.save({key: one.half() for key, one in drawn().items()}, file),
        "never trained",
    ),
    "nothing but zeros": (_with(lambda s: s["model.0.conv.weight"].zero_()), "sees nothing"),
    "infinite": (_with(lambda s: s["model.1.bn.running_var"].fill_(float("inf"))), "infinite"),
    "huge": (_with(lambda s: s["model.0.conv.weight"].fill_(1e30)), "impossible"),
    "negative variance": (_with(lambda s: s["model.1.bn.running_var"].fill_(-1.0)), "impossible"),
    "complex": (_with(lambda s: s.update({"model.0.x": torch.zeros(2, dtype=torch.complex64)})), "complex"),
    "whole numbers": (
        _with(lambda s: s.update({"model.0.conv.weight": torch.ones(4, 3, 3, 3, dtype=torch.int8)})),
        "quantised",
    ),
    "eight bits": (
        _with(lambda s: s.update({"model.0.x.bias": torch.ones(4).to(torch.float8_e4m3fn)})),
        "quantised",
    ),
    "a pickle of another program": (lambda file, _: file.write_bytes(pickle.dumps({1})), "not weights"),
    "sparse": (_with(lambda s: s.update({"model.0.x": torch.eye(3).to_sparse()})), "sparse"),
    "endless view": (_with(lambda s: s.update({"model.0.x": torch.zeros(1).expand(10**12)})), "more than"),
    "no weights": (lambda file, _: torch.save({"epoch": 3, "model": None}, file), "no weights"),
    "a number": (lambda file, _: torch.save(7, file), "no weights"),
    "yolov5 original": (
        lambda file, _: file.write_bytes(NamedCall("models.yolo", "DetectionModel").bytes()),
        "models.yolo",
    ),
    "numpy object pickle": (_numpy, "damaged"),
    "archive bomb": (_bomb_archive, "unpacks to more"),
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_with_a_reason_and_a_remedy(kind: str, tmp_path: Path, nano_pt: Path) -> None:
    make, reason = BAD[kind]
    file = tmp_path / "best.pt"
    make(file, nano_pt.read_bytes())
    with pytest.raises(RefusalError, match=reason) as caught:
        examine(file, tmp_path)
    assert len(caught.value.remedy) > 10
    assert "weights_only" not in caught.value.reason  # torch's advice, to load it without restrictions


@pytest.mark.parametrize(("class_name", "told"), [("YOLOEModel", "YOLOE"), ("WorldModel", "YOLO-World")])
def test_other_kinds_of_models_are_refused_by_name(class_name: str, told: str, tmp_path: Path) -> None:
    kind = type(class_name, (nn.Module,), {"__module__": "ultralytics.nn.tasks", "__qualname__": class_name})
    import ultralytics.nn.tasks as tasks

    original = getattr(tasks, class_name)
    setattr(tasks, class_name, kind)
    try:
        model = kind()
        model.add_module("model", nn.Sequential(nn.Conv2d(3, 16, 3)))
        torch.save({"model": model}, tmp_path / "x.pt")
    finally:
        setattr(tasks, class_name, original)
    with pytest.raises(RefusalError, match=told):
        examine(tmp_path / "x.pt", tmp_path)


@pytest.mark.parametrize(("steps", "frozen"), [(1, False), (5, True)])
def test_a_little_training_is_training(steps: int, frozen: bool, tmp_path: Path) -> None:
    """Frozen batch norms stay as they were made, statistics and all; the convolutions tell."""
    state = drawn(steps=steps, frozen=frozen)
    assert frozen == (not state["model.1.running_mean"].any())
    torch.save(state, tmp_path / "x.pt")
    assert examine(tmp_path / "x.pt", tmp_path)[0].keys() == state.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolo11n", "yolo12n", "yolov8n-cls", "yolo26n-seg", "rtdetr-l"])
def test_random_weights_of_every_kind_are_known_as_such(name: str) -> None:
    from recommender.checkpoints import build_model

    torch.manual_seed(1)
    model = build_model(name, 3)
    assert never_trained(model.state_dict())
    assert never_trained(model.half().state_dict())


def test_no_built_in_checkpoint_counts_as_untrained() -> None:
    from recommender.checkpoints import load_state, zoo

    for entry in zoo():
        state = load_state(entry)
        assert not never_trained(state)
        norms = {k: torch.ones_like(v) if k.endswith("bn.weight") else v for k, v in state.items()}
        frozen = {k: torch.zeros_like(v) if k.endswith("bn.bias") else v for k, v in norms.items()}
        assert not never_trained(frozen)  # by its convolutions alone


def test_every_flipped_byte_of_a_small_header_is_survived(tmp_path: Path) -> None:
    """safetensors has no checksum, so a flip may pass: but never as another kind of error."""
    good = safetensors.torch.save({f"model.0.{i}": torch.ones(4) for i in range(4)})
    file = tmp_path / "x.safetensors"
    for position in range(min(len(good), 400)):
        damaged = bytearray(good)
        damaged[position] ^= 0x41
        file.write_bytes(damaged)
        with suppress(RefusalError):
            examine(file, tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        *(b"{}", b'{"a": {}}', b"{" * 5000, b'{"__metadata__": {"class_names": "[[[["}}'),
        b'{"__metadata__": {"recommender": "[1]"}}',
    ],
)
def test_odd_safetensors_headers_are_refused(header: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(RefusalError):
        examine(file, tmp_path)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "cat",
        {"0": "a"},
        {1: "a"},
        [1, 2],
        ["a"] * 20_000,
        {0: ["a"]},
        {0: ""},
        [""],
        {0: "x" * 400},
        b"ab",
    ],
)
def test_odd_class_names_become_unknown(odd: Any, tmp_path: Path) -> None:
    torch.save({"state_dict": small_state(), "meta": {"names": odd}}, tmp_path / "x.pt")
    assert examine(tmp_path / "x.pt", tmp_path)[1]["class_names"] is None


def test_odd_facts_become_unknown(tmp_path: Path) -> None:
    arguments = {"imgsz": [640, 480], "epochs": -3}
    package = {
        "model": small_state(),
        "train_args": arguments,
        "train_metrics": {"metrics/mAP50-95(B)": float("nan")},
    }
    torch.save(package, tmp_path / "x.pt")
    _, facts = examine(tmp_path / "x.pt", tmp_path)
    assert (facts["imgsz"], facts["epochs"], facts["score"]) == (None, None, None)


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "model.model.", "module.model.", "_orig_mod.model."]
)
@pytest.mark.parametrize("container", [None, "state_dict", "model", "model_state_dict", "ema"])
def test_state_dicts_work_however_they_were_wrapped(
    prefix: str, container: str | None, tmp_path: Path
) -> None:
    state = {prefix + key.removeprefix("model."): tensor for key, tensor in small_state().items()}
    torch.save(state if container is None else {container: state, "epoch": 3}, tmp_path / "x.pt")
    assert examine(tmp_path / "x.pt", tmp_path)[0].keys() == small_state().keys()


def test_other_tensors_beside_the_detector_are_left(tmp_path: Path) -> None:
    torch.save(
        small_state() | {"criterion.weight": torch.rand(3), "teacher.0.weight": torch.rand(3)},
        tmp_path / "x.pt",
    )
    assert examine(tmp_path / "x.pt", tmp_path)[0].keys() == small_state().keys()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_keep_their_values(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {key: tensor.to(dtype) for key, tensor in small_state().items()}
    torch.save(state, tmp_path / "x.pt")
    tensors, _ = examine(tmp_path / "x.pt", tmp_path)
    assert all(torch.equal(tensors[key].float(), state[key].float()) for key in state)
    assert tensors["model.0.conv.weight"].dtype is (
        torch.float16 if dtype is torch.float16 else torch.float32
    )


@pytest.mark.slow
def test_the_old_torch_format_works_for_plain_tensors(tmp_path: Path) -> None:
    torch.save(small_state(), tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    assert "model.0.conv.weight" in examine(tmp_path / "x.pt", tmp_path)[0]
    torch.save({"model": random_model()}, tmp_path / "y.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(RefusalError, match=r"before 1\.6"):
        examine(tmp_path / "y.pt", tmp_path)


@pytest.mark.slow
def test_the_model_counts_exactly_as_its_own_state_dict(tmp_path: Path) -> None:
    model = random_model("yolo26n")
    tensors, facts = examine(save_ultralytics(tmp_path / "x.pt", model), tmp_path)
    expected = {
        key: tensor.half() if tensor.is_floating_point() else tensor
        for key, tensor in model.state_dict().items()
    }
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[key], expected[key]) for key in expected)
    assert facts["class_names"] == list(NAMES)
    assert (facts["imgsz"], facts["epochs"], facts["score"], facts["task"]) == (
        256,
        25,
        0.4321,
        "detection",
    )


def test_classes_trusted_elsewhere_in_the_process_are_not_trusted_here(tmp_path: Path) -> None:
    """ultralytics' own restricted loader registers real classes for the life of a process."""
    file = save_ultralytics(tmp_path / "x.pt", random_model())
    torch.serialization.add_safe_globals([type(random_model()), nn.Sequential])
    try:
        assert "model.0.conv.weight" in examine(file, tmp_path)[0]
        assert torch.serialization.get_safe_globals() == []
    finally:
        torch.serialization.clear_safe_globals()


@pytest.mark.slow
def test_averaged_weights_come_first(tmp_path: Path) -> None:
    plain, averaged = random_model(seed=1), random_model(seed=2)
    tensors, _ = examine(save_ultralytics(tmp_path / "x.pt", plain, ema=averaged.half()), tmp_path)
    assert torch.equal(tensors["model.0.conv.weight"], averaged.state_dict()["model.0.conv.weight"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("class_name", "config", "name"),
    [
        ("SegmentationModel", "yolo11n-seg.yaml", "yolo11n-seg"),
        ("SegmentationModel", "yolo26n-seg.yaml", "yolo26n-seg"),
        ("ClassificationModel", "yolo11n-cls.yaml", "yolo11n-cls"),
        ("ClassificationModel", "yolov8n-cls.yaml", "yolov8n-cls"),
        ("PoseModel", "yolov8n-pose.yaml", "yolov8n"),  # of no task of ours: what fits a detector
        ("OBBModel", "yolo26n-obb.yaml", "yolo26n"),
    ],
)
def test_a_checkpoint_is_known_by_the_head_it_has(
    class_name: str, config: str, name: str, tmp_path: Path
) -> None:
    prepare_ultralytics()
    import ultralytics.nn.tasks as tasks

    model = getattr(tasks, class_name)(config, ch=3, nc=3, verbose=False)
    tensors, facts = examine(save_ultralytics(tmp_path / "x.pt", model), tmp_path)
    found = recognise({key: tuple(tensor.shape) for key, tensor in tensors.items()}, task=facts["task"])
    assert (found.architecture.name, found.extent, found.num_classes) == (name, "whole", 3)
    assert (facts["task"] in FOREIGN_TASKS) == (class_name in ("PoseModel", "OBBModel"))


@pytest.mark.slow
def test_a_checkpoint_from_mid_training_works(tmp_path: Path) -> None:
    """last.pt carries the loss, the optimiser and whatever else the trainer held."""
    from ultralytics.utils import IterableSimpleNamespace

    model: Any = random_model()
    model.args = IterableSimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    model.criterion = model.init_criterion()
    optimiser = torch.optim.AdamW(model.parameters()).state_dict()
    tensors, _ = examine(
        save_ultralytics(tmp_path / "last.pt", model, ema=model, optimizer=optimiser, epoch=7), tmp_path
    )
    assert tensors.keys() == random_model().state_dict().keys()


# ── the whole way ────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_admission_keeps_the_same_bytes_for_the_same_weights(
    tmp_path: Path, home: Path, nano_pt: Path
) -> None:
    first, again = admit(nano_pt), admit(nano_pt)
    assert first.sha256 == again.sha256
    assert [file.name for file in (home / "checkpoints").iterdir()] == [f"{first.sha256}.safetensors"]
    assert (first.recognised.architecture.name, first.class_names) == ("yolo11n", NAMES)


@pytest.mark.slow
def test_what_is_refused_takes_nothing_from_another_reader_of_the_same_weights(
    home: Path, nano_pt: Path
) -> None:
    reads, refused, found = threading.Event(), threading.Event(), list[bool]()

    def keep_copy(copy: containment.Admitted) -> None:
        with keeping(copy.path, copy.sha256, WeightsUser(name="another", uses=lambda _: True)) as again:
            reads.set()
            refused.wait(timeout=30)
            found.append(again.exists())

    with containment.quarantined(nano_pt) as copy:
        reader = threading.Thread(target=keep_copy, args=(copy,))
        with (
            containment.quarantined(nano_pt) as read,
            suppress(CheckpointError),
            keeping(read.path, read.sha256, WeightsUser(name="one", uses=lambda _: False)),
        ):
            reader.start()
            reads.wait(timeout=1)  # in vain, as it has to wait
            raise CheckpointError("another architecture", remedy="")
        refused.set()
        reader.join()
    assert found == [True]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["truncated", "text", "nan"])
def test_admission_raises_one_class_of_error(kind: str, tmp_path: Path, home: Path, nano_pt: Path) -> None:
    file = tmp_path / "best.pt"
    BAD[kind][0](file, nano_pt.read_bytes())
    with pytest.raises(CheckpointError, match=BAD[kind][1]) as caught:
        admit(file)
    assert str(file) in caught.value.message
    assert caught.value.exit_code == 2
    assert list((home / "checkpoints").iterdir()) == []


def test_an_address_is_to_be_downloaded_first(home: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        admit(Path("https://example.org/best.pt"))
    assert "Download it first" in str(caught.value.remedy)


@pytest.mark.parametrize("place", ["absent.pt", "folder", "fifo"])
def test_what_is_no_file_is_refused_at_once(place: str, tmp_path: Path, home: Path) -> None:
    import os

    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CheckpointError):
        admit(tmp_path / place)


@pytest.mark.slow
def test_the_secrets_of_our_environment_stay_here(
    tmp_path: Path, home: Path, nano_pt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PYTHONSTARTUP or a token of ours must not reach the process that reads other people's files."""
    from recommender.checkpoints.containment import _environment

    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret-token")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    passed = _environment(tmp_path, tmp_path)
    assert "secret-token" not in json.dumps(passed)
    assert not {"HTTPS_PROXY", "HOME", "PATH"} & passed.keys()
    assert admit(nano_pt).class_names == NAMES


@pytest.mark.slow
def test_the_real_files(shared: Path, home: Path) -> None:
    weights = shared / "weights"
    with pytest.raises(CheckpointError, match="original YOLOv5 pickle") as caught:
        admit(weights / "yolov5n_gtsdb.original.pt")
    assert caught.value.remedy is not None
    assert "state_dict" in caught.value.remedy
    v5 = admit(weights / "yolov5n_gtsdb.state_dict.pt")
    assert (v5.recognised.architecture.name, v5.recognised.num_classes) == ("yolov5n", 43)
    assert v5.class_names is not None
    assert v5.class_names[14] == "stop"
    faces = admit(weights / "domain" / "wider_face-yolo11n.pt")
    assert (faces.class_names, faces.imgsz, faces.epochs) == (("face",), 416, 30)
