"""Which calls make a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentspec_usage.extraction.values import Extraction
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.sidecar.usage_log.log import FILE_NAME, open_usage_log
from tests.fakes.hand_clock import HandClock
from tests.unit.sidecar.proxied import a_call, a_request, an_end, chat_facts


def read(directory: Path) -> list[dict[str, Any]]:
    path = directory / FILE_NAME
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


@pytest.mark.parametrize(
    ("status", "call_status", "lines"),
    [
        pytest.param(200, CallStatus.OK, 1, id="a success"),
        pytest.param(201, CallStatus.OK, 1, id="another success"),
        pytest.param(200, CallStatus.ABORTED, 1, id="a stream that broke"),
        pytest.param(200, CallStatus.UNMETERED, 0, id="no usage"),
        pytest.param(101, CallStatus.OK, 1, id="a WebSocket"),
        pytest.param(302, CallStatus.OK, 0, id="elsewhere"),
        pytest.param(500, CallStatus.OK, 0, id="an error that tells usage"),
        pytest.param(None, CallStatus.ABORTED, 0, id="no answer"),
    ],
)
def test_a_success_with_usage_makes_a_line(
    tmp_path: Path, status: int | None, call_status: CallStatus, lines: int
) -> None:
    log = open_usage_log(tmp_path, HandClock(), max_bytes=10_000, kept=1)
    request, call = a_request(), a_call(status=call_status)
    log.began(request)
    log.ended(request, an_end(call, status=status), [call])
    assert log.close()
    assert len(read(tmp_path)) == lines
    assert log.stats.written == lines


def test_each_call_of_a_long_connection_makes_a_line(tmp_path: Path) -> None:
    clock = HandClock()
    log = open_usage_log(tmp_path, clock, max_bytes=10_000, kept=1)
    request = a_request()
    clock.pass_seconds(1.5)
    log.read(request, [a_call(1, 2), a_call(3, 4)])
    last = a_call(5, 6)
    log.ended(request, an_end(last, status=101, after_ms=9000), [last])
    assert log.close()
    told = read(tmp_path)
    assert [(line["input_tokens"], line["duration_ms"]) for line in told] == [
        (1, 1500),
        (3, 1500),
        (5, 9000),
    ]
    assert all(line["streaming"] and line["status"] == 101 for line in told)
    assert "response_bytes" not in told[0]


def test_calls_that_were_counted_before_make_no_line(tmp_path: Path) -> None:
    log = open_usage_log(tmp_path, HandClock(), max_bytes=10_000, kept=1)
    poll = an_end(a_call(), extraction=Extraction((a_call(),), retrieval=True))
    log.ended(a_request(), poll, [])
    assert log.close()
    assert read(tmp_path) == []


@pytest.mark.parametrize("streaming", [True, False])
def test_a_line_says_whether_a_stream_was_asked_for(tmp_path: Path, streaming: bool) -> None:
    log = open_usage_log(tmp_path, HandClock(), max_bytes=10_000, kept=1)
    call = a_call()
    log.ended(a_request(facts=chat_facts(streaming=streaming)), an_end(call), [call])
    assert log.close()
    assert read(tmp_path)[0]["streaming"] is streaming
