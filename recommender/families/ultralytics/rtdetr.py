"""RT-DETR, a transformer decoder on a convolutional backbone (Zhao et al. 2023, arXiv 2304.08069)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recommender.families.row import ModelFamily, Shapes, silence_rows


def class_rows(head_layer: int, shapes: Shapes) -> set[str]:
    """Keys of the score heads of encoder and decoder, and of the class embedding that denoising trains with."""
    head = f"model.{head_layer}."
    starts = (f"{head}enc_score_head.", f"{head}dec_score_head.", f"{head}denoising_class_embed.")
    return {key for key in shapes if key.startswith(starts)}


def class_base(key: str) -> str:
    """Score heads read what the decoder's layers compute."""
    return ".".join(key.split(".")[:2]) + ".decoder."


def silence(head: Any, classes: Sequence[int]) -> None:
    """Silence these classes in every score head."""
    silence_rows((head.enc_score_head, *head.dec_score_head), classes)


RTDETR = ModelFamily(
    name="rtdetr",
    task="detect",
    heads=frozenset({"RTDETRDecoder"}),
    files=("rtdetr*.yaml", "yolo*-rtdetr.yaml"),
    model_class="RTDETRDetectionModel",
    validator=("ultralytics.models.rtdetr.val", "RTDETRValidator"),
    class_rows=class_rows,
    class_base=class_base,
    silence=silence,
    square_images=True,  # its decoder speaks in fractions of a square
    mixed_precision=False,  # "AMP training can lead to NaN outputs", ultralytics/models/rtdetr/train.py
    learning_rate_factor=0.1,  # 1e-4 for AdamW, as the paper trains; ultralytics' own default diverges
)
