"""The layers before the neck, run alone: the feature maps that detection heads read.

Shapes: N images, S the square's side in pixels.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from recommender.errors import CheckpointError
from recommender.families.ultralytics.architectures import architecture
from recommender.families.ultralytics.models import build_model
from recommender.ultralytics_safety import prepare_ultralytics

if TYPE_CHECKING:
    import torch

STRIDES = (8, 16, 32)  # P3, P4, P5: what detection heads read

_building = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A checkpoint's layers before the neck, batch norm folded, ready to run."""

    layers: torch.nn.ModuleList

    def maps(self, batch_N3SS: NDArray[np.uint8]) -> dict[int, torch.Tensor]:
        """The last feature map of each stride, by stride; layers may read any earlier one's output."""
        import torch

        size = batch_N3SS.shape[-1]
        with torch.inference_mode():
            batch = torch.from_numpy(batch_N3SS).to(memory_format=torch.channels_last).float().div_(255)
            outputs: list[Any] = []
            found: dict[int, torch.Tensor] = {}
            for layer in self.layers:
                output = layer(inputs_of(cast(Any, layer.f), batch, outputs))
                outputs.append(output)
                stride = size // output.shape[-1] if isinstance(output, torch.Tensor) else 0
                if stride in STRIDES:
                    found[stride] = output
        return found


def backbone_of(name: str, architecture: str, tensors: Mapping[str, torch.Tensor]) -> Backbone:
    """The backbone of an architecture with these weights, up to the first layer that they do not fill.

    `name` is the checkpoint's, for the message. Raises CheckpointError where not even the layers down to stride 8 are
    filled, for instance by a first convolution of other input channels: random layers say nothing of a checkpoint.
    """
    import torch

    prepare_ultralytics()
    from ultralytics.nn.modules import Conv

    layers = copy.deepcopy(_bare_backbone(architecture))
    state = _below(tensors, len(layers))
    lacking = [
        key
        for key, tensor in layers.state_dict().items()
        if not key.endswith("num_batches_tracked") and (key not in state or state[key].shape != tensor.shape)
    ]
    num_filled = min((int(key.split(".", 1)[0]) for key in lacking), default=len(layers))
    layers = layers[:num_filled]
    layers.load_state_dict(
        {key: tensor for key, tensor in state.items() if int(key.split(".", 1)[0]) < num_filled}, strict=False
    )
    for module in layers.modules():
        if isinstance(module, Conv) and isinstance(module.bn, torch.nn.BatchNorm2d):
            module.conv = torch.nn.utils.fusion.fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = torch.nn.Identity()
            if isinstance(module.act, torch.nn.SiLU):
                module.act = torch.nn.SiLU(inplace=True)  # nobody else reads what the convolution gives
    cast(Any, layers).to(memory_format=torch.channels_last)
    backbone = Backbone(layers=layers)
    if lacking and not backbone.maps(np.zeros((1, 3, max(STRIDES), max(STRIDES)), dtype=np.uint8)):
        raise CheckpointError(
            f"{name} does not fill layer {num_filled} of {architecture} ({lacking[0]}).",
            remedy="Add weights of a shipped architecture with three input channels.",
        )
    return backbone


def _bare_backbone(name: str) -> torch.nn.ModuleList:
    with _building:  # threads that build at once would each put torch's random numbers back to the other's
        return _built_backbone(name)


@functools.lru_cache(maxsize=4)
def _built_backbone(name: str) -> torch.nn.ModuleList:
    """The layers with random weights; building them costs more than running them on a few images."""
    import torch

    with torch.random.fork_rng(devices=[]):
        model: Any = build_model(name, 1)
    layers = torch.nn.ModuleList(model.model[: architecture(name).num_backbone_layers])
    return layers.eval().requires_grad_(False)


def _below(state: Mapping[str, torch.Tensor], num_layers: int) -> dict[str, torch.Tensor]:
    """The tensors of the first layers, without the `model.` before their names."""
    return {
        key.removeprefix("model."): tensor
        for key, tensor in state.items()
        if key.startswith("model.") and int(key.split(".", 2)[1]) < num_layers
    }


def inputs_of(source: int | list[int], batch: torch.Tensor, outputs: list[Any]) -> Any:
    """The inputs of a layer, as its architecture lists them: -1 is the layer before, other numbers count from 0."""
    if isinstance(source, int):
        return _output(source, batch, outputs)
    return [_output(index, batch, outputs) for index in source]


def _output(index: int, batch: torch.Tensor, outputs: list[Any]) -> Any:
    if index == -1:
        return outputs[-1] if outputs else batch
    return outputs[index]
