"""Checkpoints made on the spot, in the forms they come in, and a server that serves them well or badly."""

from __future__ import annotations

import copy
import functools
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recommender.checkpoints import build_model
from recommender.checkpoints.containment import Admitted, quarantined
from recommender.checkpoints.files import keep
from recommender.families.ultralytics.architectures import architectures

NAMES = ("person", "hat", "glove")


def admit(file: Path) -> Admitted:
    """A weights file taken in through the quarantine, its tensors kept below our home."""
    with quarantined(file) as read:
        return replace(read, path=keep(read.path, read.sha256))


def random_model(
    architecture: str = "yolo11n", names: tuple[str, ...] = NAMES, *, seed: int = 0
) -> nn.Module:
    """A model with seeded random weights and these classes; a copy of one's own."""
    return copy.deepcopy(_built(architecture, names, seed))


@functools.cache
def _built(architecture: str, names: tuple[str, ...], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = build_model(architecture, len(names))
    model.names = dict(enumerate(names))  # type: ignore[assignment]
    return as_if_trained(model)


def as_if_trained(model: nn.Module) -> nn.Module:
    """The model, its batch norms as if they had learnt something: untrained weights are refused."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, 0.01)
    return model


def save_ultralytics(file: Path, model: nn.Module, **changes: Any) -> Path:
    """Save as ultralytics' trainer does: the pickled model, half precision, beside training facts."""
    package = {
        "epoch": -1,
        "best_fitness": None,
        "model": as_if_trained(model).half(),
        "ema": None,
        "optimizer": None,
        "train_args": {"task": "detect", "imgsz": 256, "epochs": 25},
        "train_metrics": {"metrics/mAP50-95(B)": 0.4321},
        "version": "8.4.190",
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
    }
    torch.save(package | changes, file)
    model.float()
    return file


def state_of(
    architecture: str = "yolo11n", names: tuple[str, ...] = NAMES, *, seed: int = 0
) -> dict[str, Tensor]:
    """The state dict of such a model; tensors of one's own."""
    return {key: tensor.clone() for key, tensor in _built(architecture, names, seed).state_dict().items()}


def yolov5_state(classes: int = 43) -> dict[str, Tensor]:
    """Like the state dict of the original YOLOv5n: backbone and neck as ultralytics', a head with anchors."""
    head = f"model.{architectures()['yolov5n'].num_layers - 1}."
    body = {key: tensor for key, tensor in state_of("yolov5n").items() if not key.startswith(head)}
    levels = {f"{head}m.{i}.weight": torch.rand(3 * (classes + 5), 64 * 2**i, 1, 1) for i in range(3)}
    biases = {f"{head}m.{i}.bias": torch.rand(3 * (classes + 5)) for i in range(3)}
    return body | levels | biases | {f"{head}anchors": torch.rand(3, 3, 2)}


@dataclass(kw_only=True)
class Behaviour:
    """The server's answers, and the requests it got."""

    content: bytes
    ranges: bool = True
    etag: str | None = '"v1"'
    with_length: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes, one per answer, then no more cuts
    statuses: list[int] = field(default_factory=list)  # sent before anything else, one per request
    content_type: str = "application/octet-stream"
    redirect: str | None = None
    asked: list[str | None] = field(default_factory=list)  # the Range header of each request


@contextmanager
def serve(behaviour: Behaviour) -> Iterator[str]:
    """A server on loopback; yields its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(behaviour))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(behaviour: Behaviour) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour.asked.append(self.headers.get("Range"))
            if behaviour.statuses:
                self.send_error(behaviour.statuses.pop(0))
                return
            if behaviour.redirect is not None:
                self.send_response(302)
                self.send_header("Location", behaviour.redirect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._send(self._start())

        def _start(self) -> int:
            told = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
            same = self.headers.get("If-Range") in {None, behaviour.etag}
            return int(told[1]) if told and same and behaviour.ranges else 0

        def _send(self, start: int) -> None:
            body, whole = behaviour.content[start:], len(behaviour.content)
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            if behaviour.etag:
                self.send_header("ETag", behaviour.etag)
            if behaviour.with_length:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", behaviour.content_type)
            self.end_headers()
            cut = behaviour.cut_after.pop(0) if behaviour.cut_after else None
            self.wfile.write(body[:cut])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    return Handler
