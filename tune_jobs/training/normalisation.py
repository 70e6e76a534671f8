"""Group norm in place of batch norm, for random weights at small batches (Wu and He 2018, arXiv 1803.08494)."""

from __future__ import annotations

from torch import nn

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


def _group_norm_like(norm: nn.BatchNorm2d) -> nn.GroupNorm:
    groups = max(count for count in range(1, MAX_GROUPS + 1) if norm.num_features % count == 0)
    replacement = nn.GroupNorm(groups, norm.num_features, eps=1e-5)
    replacement.load_state_dict({"weight": norm.weight.detach(), "bias": norm.bias.detach()})
    return replacement
