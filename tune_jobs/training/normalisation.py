"""Group norm in place of batch norm (Wu and He 2018, arXiv 1803.08494), and batch norm over several processes."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tune_jobs.training.job import TrainingJob

MAX_GROUPS = 32


def use_group_norm(model: nn.Module) -> int:
    """Replace every BatchNorm2d in place, keeping scale and shift; returns how many were replaced.

    The running statistics are dropped: group norm has none. Call it after weights were transferred.
    """
    count = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _group_norm_like(child))
                count += 1
    return count


def synchronises_norms(job: TrainingJob) -> bool:
    """True if batch norm counts the images of all processes: torch does that on GPUs only."""
    return job.num_processes > 1 and job.device.startswith("cuda") and job.recipe.normalisation == "batch"


def synchronise_norms(model: nn.Module, *, frozen_layers: int) -> int:
    """Make batch norm count the images of all processes (torch's SyncBatchNorm); returns how many were replaced.

    The first `frozen_layers` of `model.model` are left: their statistics stand still, and ultralytics knows them by
    their class. Names and values of all tensors stay as they are.
    """
    convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
    for layer in list(model.get_submodule("model").children())[frozen_layers:]:
        convert(layer)  # in place, but for a layer that is itself a batch norm, which none is
    return sum(isinstance(module, nn.SyncBatchNorm) for module in model.modules())


def _group_norm_like(norm: nn.BatchNorm2d) -> nn.GroupNorm:
    groups = max(count for count in range(1, MAX_GROUPS + 1) if norm.num_features % count == 0)
    replacement = nn.GroupNorm(groups, norm.num_features, eps=1e-5)
    replacement.load_state_dict({"weight": norm.weight.detach(), "bias": norm.bias.detach()})
    return replacement
