"""Files of other tools, each told by its marks and refused with what helps instead."""

from __future__ import annotations

import re

from recommender.checkpoints.quarantine.refusal import RefusalError

ORIGINAL = "Add the original .pt it was made from."

# The first bytes of exports: where the mark begins, the mark, what it is. Training cannot start from any of them.
EXPORTS = (
    (4, b"TFL3", "a TFLite export"),
    (0, b"\x89HDF", "a Keras or HDF5 export"),
    (0, b"ftrt", "a TensorRT engine"),
    (0, b"ptrt", "a TensorRT engine"),
    (0, b"RKNN", "a Rockchip RKNN export"),
    (4, b"ET1", "an ExecuTorch export"),
    (0, b"7767517", "an NCNN export"),
)

_PICKLED_REPOSITORY = re.compile(r"(models|yolov[67]|yolov6\.\w+)\.\w+(\.\w+)*")
_SAVE_PLAIN = (
    "There, where you trust it, save plain tensors and add that file: "
    "m = torch.load('best.pt', weights_only=False)['model']; "
    "torch.save({'state_dict': m.state_dict(), 'meta': {'names': m.names}}, 'best.state_dict.pt')"
)
# A class that only this repository's models hold, which repository it is, and what helps.
_REPOSITORIES = (
    (
        re.compile(
            r"\.(RepNCSPELAN4|RepNCSP|ADown|CBLinear|CBFuse|SPPELAN|Silence|Dual\w*Detect|Triple\w*Detect)$"
        ),
        "YOLOv9",
        "Its layers are laid out otherwise than in Ultralytics' YOLOv9: start from those weights instead, "
        "`recommend checkpoints fetch yolov9c`, or train with Ultralytics and add that best.pt.",
    ),
    (
        re.compile(r"\.(IDetect|IAuxDetect|IBin|SPPCSPC|RepConv|MP|ImplicitA|ImplicitM|IKeypoint)$"),
        "YOLOv7",
        "No architecture of Ultralytics is YOLOv7: start from another one, such as "
        "`recommend checkpoints fetch yolo11s`.",
    ),
    (
        re.compile(r"^yolov6\."),
        "YOLOv6",
        "Its layers are named otherwise than in Ultralytics' YOLOv6: start from another one, such as "
        "`recommend checkpoints fetch yolo11s`.",
    ),
    (re.compile(r"^models\.(yolo|common|experimental)\."), "YOLOv5", _SAVE_PLAIN),
)


def foreign_pickle(names: list[str]) -> RefusalError | None:
    """The refusal of another repository's pickle, by the classes it names; None for any other."""
    foreign = [name for name in names if _PICKLED_REPOSITORY.fullmatch(name)]
    for mark, repository, remedy in _REPOSITORIES:
        named = next((name for name in foreign if mark.search(name)), None)
        if named is not None:
            return RefusalError(
                f"It is an original {repository} pickle (it names {named}), which only runs inside that repository.",
                remedy,
            )
    return None


def refuse_export(head: bytes) -> None:
    """Raise for an export or another tool's weights, by the first bytes of the file; return for any other."""
    kind = next((kind for start, mark, kind in EXPORTS if head[start:].startswith(mark)), None)
    if kind is None and head[4:5] == b"{" and 1 < int.from_bytes(head[:4], "little") < 2**20:
        kind = "a TensorRT engine"  # as ultralytics writes it: a description's length, then the description
    if kind is None and (b"onnx" in head[:64].lower() or head[:1] == b"\x08"):
        kind = "an ONNX export"
    if kind is None and b"<net " in head:
        kind = "an OpenVINO export"
    if kind is not None:
        raise RefusalError(f"It is {kind}, from which training cannot start.", ORIGINAL)
    if head[:8] == b"\0\0\0\0\2\0\0\0":  # versions 0 and 2, as 32-bit numbers
        raise RefusalError(
            "It is a Darknet weights file, whose numbers are not named by layer.",
            "Start from Ultralytics' own YOLOv3: recommend checkpoints fetch yolov3u; or train with Ultralytics and "
            "add that best.pt.",
        )
