"""Digests of requests, by which a repeated request is recognised under its idempotency key, across versions too."""

from __future__ import annotations

import hashlib

from recommender.requests import STRIDE, SweepRequest, TrainingRequest

# Fields that version 0.1 did not have, in the order in which they came.
ADDED_FIELDS = (("class_map",), ("task",), ("axes", "freeze"))


def request_digests(request: TrainingRequest | SweepRequest, *beside: str) -> tuple[str, ...]:
    """SHA-256 over a request and the texts `beside` it: first the one to keep, then those that versions before kept.

    The first leaves out added fields that the request makes no use of, so that further fields will not change it.
    """
    return tuple(
        hashlib.sha256((text + "".join(beside)).encode("utf-8", "backslashreplace")).hexdigest()
        for text in request_texts(request)
    )


def request_texts(request: TrainingRequest | SweepRequest) -> tuple[str, ...]:
    """A request as JSON in the forms that `request_digests` takes, without repetitions.

    Earlier versions kept the image size as it was named, which is now the next multiple of 32.
    """
    kind = type(request)
    unused = [
        {
            name
            for name in added
            if name in kind.model_fields
            and getattr(request, name) == kind.model_fields[name].get_default(call_default_factory=True)
        }
        for added in ADDED_FIELDS
    ]
    without = (set().union(*unused[version:]) for version in range(len(unused) + 1))
    asked = [request.model_copy(update={"imgsz": request.imgsz - less}) for less in range(STRIDE)]
    return tuple(dict.fromkeys(one.model_dump_json(exclude=names) for names in without for one in asked))
