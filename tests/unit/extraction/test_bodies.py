"""What each provider's response means, in canonical counts."""

from __future__ import annotations

import pytest

from agentspec_usage.metering.record import CallStatus
from agentspec_usage.metering.series import context_class
from tests.fixtures.bodies.body import Body
from tests.fixtures.bodies.catalogue import BODIES
from tests.unit.extraction.reading_bodies import read

every_body = pytest.mark.parametrize("body", [pytest.param(body, id=body.name) for body in BODIES])


@every_body
def test_a_body_is_read_as_what_it_means(body: Body) -> None:
    found = read(body)

    assert not found.unmetered, found.reason
    main, *others = found.calls
    assert main.counts == body.counts
    assert main.status is body.status
    assert main.key.provider == body.provider
    assert main.key.model == body.model
    assert main.key.operation == body.operation
    assert main.key.service_tier == body.service_tier
    assert main.key.region == body.region
    assert main.key.context_class == context_class(body.counts.input)
    assert main.response_id == body.response_id
    assert dict(main.requests) == body.requests
    assert [(other.key.model, other.counts) for other in others] == list(body.others)
    assert not any(other.response_id for other in others)
    expected = body.counts.input if body.provider_input is None else body.provider_input
    assert main.provider_input_tokens == expected


@every_body
def test_a_body_as_published_contradicts_nothing_and_has_no_unknown_field(body: Body) -> None:
    found = read(body)

    assert found.mismatches == body.mismatches
    assert found.unknown_fields == ()
    assert found.response_bytes == len(body.answer)


@every_body
def test_a_body_keeps_its_laws(body: Body) -> None:
    for call in read(body).calls:
        counts = call.counts
        assert counts.calls == 1
        assert counts.cache_read + counts.cache_write <= counts.input
        assert counts.audio_in + counts.image_in <= counts.input
        assert counts.reasoning <= counts.output
        assert call.status is not CallStatus.UNMETERED
        assert len(call.raw.encode()) <= 2048


def test_no_two_bodies_have_one_name() -> None:
    assert len({body.name for body in BODIES}) == len(BODIES)
