"""Requests that fit the OpenAPI document, and requests that nearly do: every answer is described.

No answer is a 5xx, each has a status, a media type and a body that the document announces, and what
breaks the document's rules is refused. An operation that is added to the document is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.contract.fuzzing import EXAMPLES, Fuzzed, Operation, fuzzed_control_plane
from tests.contract.tenants import CALLS

# That a text is a time, or the name of a zone, is more than its schema says.
UNPROMISED: list[Any] = [positive_data_acceptance]

FUZZING = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed_control_plane(tmp_path_factory.mktemp("fuzzed")) as running:
        yield running


def answers_as_described(fuzzed: Fuzzed, operation: Operation, mode: GenerationMode) -> None:
    @FUZZING
    @given(fuzzed.cases(operation, mode))
    def is_as_described(case: Case[Any]) -> None:
        case.call_and_validate(
            session=fuzzed.session,
            headers=dict(fuzzed.headers(operation)),
            excluded_checks=UNPROMISED,
        )

    is_as_described()


def can_be_wrong(operation: Operation) -> bool:
    """Whether the document says anything of a request that one could break: a path takes any text
    but where it says more."""
    limited = any(
        parameter.definition["schema"].keys() - {"type", "title"}
        for parameter in operation.path_parameters
    )
    return bool(operation.query or operation.body or limited)


@pytest.mark.parametrize(
    ("mode", "asked"),
    [
        pytest.param(GenerationMode.POSITIVE, lambda _: True, id="that fits"),
        pytest.param(GenerationMode.NEGATIVE, can_be_wrong, id="that does not fit"),
    ],
)
def test_a_request_is_answered_as_the_document_says(
    fuzzed: Fuzzed,
    subtests: pytest.Subtests,
    mode: GenerationMode,
    asked: Callable[[Operation], bool],
) -> None:
    for operation in filter(asked, fuzzed.operations()):
        with subtests.test(operation=operation.label):
            answers_as_described(fuzzed, operation, mode)
    assert [line for line in fuzzed.plane.lines() if line["level"] == "error"] == []


def test_what_real_senders_are_answered_is_as_the_document_says(fuzzed: Fuzzed) -> None:
    tenant = fuzzed.tenant
    sent = {
        "/api/v1/usage/records": tenant.frames(tenant.instance_id, CALLS, CALLS + 1),
        "/api/v1/heartbeat": tenant.heartbeat(tenant.instance_id),
    }
    for path, body in sent.items():
        answer = httpx.post(f"{fuzzed.plane.url}{path}", content=body, headers=tenant.headers)
        assert answer.status_code == 200
        fuzzed.schema[path]["POST"].validate_response(answer)
