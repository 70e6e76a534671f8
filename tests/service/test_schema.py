"""Row H5: odd requests over the whole schema, and nothing at or above 500 but an honest 503."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

from tests.service.kit import Service, running

EXAMPLES = 10  # per operation and kind of data; a night run takes more
WANTED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: this test fills it with nonsense."""
    folder = tmp_path_factory.mktemp("fuzzed")
    with running(folder, answer_wait_s=0.0, max_sweeps=10_000, allowed_hosts=("testserver",)) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_sent_is_answered_as_documented(fuzzed: Service, mode: GenerationMode) -> None:
    load_all_checks()
    checks = CHECKS.get_by_names(WANTED)
    schema = schemathesis.openapi.from_asgi("/openapi.json", fuzzed.app, headers=fuzzed.as_(fuzzed.ada))
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 25
    for operation in operations:
        # Each well-formed registration starts a quarantine process: that is slow, and tried elsewhere.
        examples = 2 if operation.label == "POST /v1/checkpoints" else EXAMPLES
        _try(operation.as_strategy(generation_mode=mode), fuzzed, checks, examples)


def _try(cases: st.SearchStrategy[Any], fuzzed: Service, checks: list[Any], examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def send(case: Any) -> None:
        case.call_and_validate(headers=fuzzed.as_(fuzzed.ada), checks=checks, timeout=300)

    with contextlib.suppress(Unsatisfiable):  # an operation without input can be sent nothing wrong
        send()
