"""An answer says the same on both ends, and what is none releases nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.wire.records_answer import (
    HeartbeatAnswer,
    RecordsAnswer,
    decode_heartbeat_answer,
    decode_records_answer,
    encode_heartbeat_answer,
    encode_records_answer,
)
from tests.unit.metering.readings import A, numbered_id

watermarks = st.dictionaries(st.integers(0, 99).map(numbered_id), st.integers(0, MAX_COUNT))


@given(watermarks, watermarks)
def test_an_answer_to_frames_survives_the_wire(
    durable: dict[str, int], gaps: dict[str, int]
) -> None:
    answer = RecordsAnswer(durable, gaps)
    assert decode_records_answer(encode_records_answer(answer)) == answer


def test_an_answer_to_a_heartbeat_survives_the_wire() -> None:
    answer = HeartbeatAnswer(7, "/api/v1/usage/records")
    assert decode_heartbeat_answer(encode_heartbeat_answer(answer)) == answer


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"[]", "", id="a list"),
        pytest.param(b'{"durable":{}}', "durable", id="an object for a list"),
        pytest.param(b'{"durable":[{"seq":1}]}', "durable[0].instanceId", id="of nobody"),
        pytest.param(
            b'{"durable":[{"instanceId":"%b","seq":true}]}' % A.encode(),
            "durable[0].seq",
            id="true",
        ),
        pytest.param(
            b'{"durable":[{"instanceId":"%b","seq":-1}]}' % A.encode(),
            "durable[0].seq",
            id="negative",
        ),
        pytest.param(
            b'{"gaps":[{"instanceId":"%b","have":1},{"instanceId":"%b","have":2}]}'
            % (A.encode(), A.encode()),
            "gaps[1].instanceId",
            id="two answers for one",
        ),
    ],
)
def test_what_is_no_answer_to_frames_is_refused(body: bytes, path: str) -> None:
    with pytest.raises(WireError) as refused:
        decode_records_answer(body)
    assert refused.value.path == path


@pytest.mark.parametrize(
    "records",
    [
        pytest.param("http://elsewhere/", id="another host"),
        pytest.param("//elsewhere/", id="a host without a scheme"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_heartbeat_cannot_send_frames_to_another_host(records: str) -> None:
    with pytest.raises(WireError, match="records"):
        decode_heartbeat_answer(encode_heartbeat_answer(HeartbeatAnswer(1, records)))
