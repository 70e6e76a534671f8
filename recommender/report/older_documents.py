"""Answers as earlier builds published and stored them, in the form of today."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

NEWEST = '"training_mb"'  # stands in every row of an answer of today


def current_json(published: str) -> str:
    """A stored answer in the form of today, the same text where it is in that form."""
    return published if NEWEST in published else json.dumps(upgraded(json.loads(published)))


def upgraded(published: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an answer in the form of today; those of today's answers as they are.

    Earlier builds kept the start of a decision and of a run as two fields, called the money a start takes its cost,
    and left null what was not known.
    """
    found = dict(published)
    if found.get("ranking"):
        found["ranking"] = [_row(row) for row in found["ranking"]]
    if found.get("folded"):
        found["folded"] = [_omitted(one) for one in found["folded"]]
    if found.get("rests_on"):
        found["rests_on"] = [_run_used(one) for one in found["rests_on"]]
    if found.get("decision"):
        found["decision"] = _with_start(found["decision"])
    if "train_command" in found and found["train_command"] is None:
        del found["train_command"]
    return found


def _row(row: Any) -> Any:
    if not isinstance(row, Mapping):
        return row
    found = _with_money(row)
    if "expected_loss" in found and found["expected_loss"] is None:
        del found["expected_loss"]
    if found.get("sizes"):
        found["sizes"] = [_with_money(size) for size in found["sizes"]]
    return found


def _omitted(one: Any) -> Any:
    if not isinstance(one, Mapping):
        return one
    found = dict(one)
    if found.get("instead_score") is None and "score" in found:
        found["instead_score"] = found["score"]
    return found


def _run_used(one: Any) -> Any:
    found = _with_start(one)
    for name, now in (("target", "target_name"), ("train_images", "num_train_images")):
        if isinstance(found, dict) and name in found:
            found[now] = found.pop(name)
    return found


def _with_start(one: Any) -> Any:
    if not isinstance(one, Mapping) or "start" in one or "checkpoint" not in one:
        return dict(one) if isinstance(one, Mapping) else one
    rest = {name: value for name, value in one.items() if name not in ("checkpoint", "mode")}
    return {"start": {"checkpoint": one["checkpoint"], "mode": one.get("mode")}} | rest


def _with_money(one: Any) -> Any:
    if not isinstance(one, Mapping) or "cost" not in one:
        return dict(one) if isinstance(one, Mapping) else one
    found = dict(one)
    money = found.pop("cost")
    return {"money": money} | found
