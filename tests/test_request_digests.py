"""Requests under idempotency keys of earlier versions: one that uses nothing new is the one it was."""

from __future__ import annotations

import hashlib
import json

import pytest

from recommender.request_digests import request_digests
from recommender.requests import SweepRequest, TrainingRequest

# As version 0.1 wrote them, then as versions did before learning rate and freeze depth could be named.
TRAINING = (
    '{"dataset":"/d","start":"coco:full","epochs":3,"imgsz":640,"batch":16,"patience":50,"optimizer":"AdamW",'
    '"learning_rate":null,"architecture":null,"name":null,"seed":0,"gpus":null,"cpus":null,"allow_roots":[]}'
)
TRAINING_BEFORE_AXES = (
    '{"dataset":"/d","task":null,"start":"coco:full","epochs":3,"imgsz":640,"batch":16,"patience":50,'
    '"optimizer":"AdamW","learning_rate":null,"architecture":null,"name":null,"class_map":{},"seed":0,"gpus":null,'
    '"cpus":null,"allow_roots":[]}'
)
SWEEP = (
    '{"budget":"10m","address":null,"gpus_per_trial":null,"cpus_per_trial":null,"parallel":null,"storage":null,'
    '"allow_roots":[],"datasets":["/d"],"checkpoints":[],"modes":["full","freeze","scratch"],"seeds":[0],'
    '"fractions":[1.0],"epochs":3,"imgsz":640,"batch":16,"optimizer":"AdamW","learning_rate":null,"patience":0,'
    '"architecture":null,"max_params":null}'
)
SWEEP_BEFORE_AXES = SWEEP.replace('"datasets":["/d"],', '"datasets":["/d"],"task":null,')


def digest(text: str) -> str:
    return hashlib.sha256(f"{text}hash".encode()).hexdigest()


@pytest.mark.parametrize("former", [TRAINING, TRAINING_BEFORE_AXES])
def test_a_training_is_recognised_as_earlier_versions_kept_it(former: str) -> None:
    asked = TrainingRequest.model_validate({"dataset": "/d", "start": "coco:full", "epochs": 3})
    assert digest(former) in request_digests(asked, "hash")
    assert request_digests(asked, "hash")[0] == digest(TRAINING)  # further fields will not change it


@pytest.mark.parametrize("former", [SWEEP, SWEEP_BEFORE_AXES])
def test_a_sweep_is_recognised_as_earlier_versions_kept_it(former: str) -> None:
    asked = SweepRequest.model_validate({"datasets": ("/d",), "epochs": 3, "budget": "10m"})
    assert digest(former) in request_digests(asked, "hash")


@pytest.mark.parametrize("added", [{"freeze": "stem"}, {"task": "segment"}, {"class_map": {"a": "b"}}])
def test_what_only_later_versions_can_ask_is_another_request(added: dict[str, object]) -> None:
    asked = TrainingRequest.model_validate({**json.loads(TRAINING), **added})
    assert digest(TRAINING) not in request_digests(asked, "hash")
    assert not {*request_digests(asked, "hash")} & {
        *request_digests(TrainingRequest(**json.loads(TRAINING)), "hash")
    }


def test_axes_are_another_sweep() -> None:
    asked = SweepRequest.model_validate({**json.loads(SWEEP), "axes": ("lr",)})
    assert digest(SWEEP) not in request_digests(asked, "hash")


@pytest.mark.parametrize(("former", "kind"), [(TRAINING, TrainingRequest), (SWEEP_BEFORE_AXES, SweepRequest)])
def test_an_image_size_is_recognised_as_it_was_named_before_sizes_were_rounded(
    former: str, kind: type[TrainingRequest] | type[SweepRequest]
) -> None:
    former = former.replace('"imgsz":640', '"imgsz":100')
    asked = kind.model_validate_json(former)
    assert asked.imgsz == 128
    assert digest(former) in request_digests(asked, "hash")
    for other in (96, 160):
        assert digest(former) not in request_digests(asked.model_copy(update={"imgsz": other}), "hash")
