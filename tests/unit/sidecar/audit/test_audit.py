"""Requests and what is told of them meet in the ring, in whatever order they come."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.sidecar.audit.entry import encode_entry
from agentspec_usage.sidecar.audit.events import decode_push
from agentspec_usage.sidecar.audit.log import Audit
from agentspec_usage.sidecar.calls import EndedBy
from tests.fakes.hand_clock import HandClock
from tests.fakes.pod_ledger import FakePodLedger
from tests.unit.sidecar.audit.audits import EVENTS_INSTANCE, an_audit
from tests.unit.sidecar.proxied import CHAT, a_call, a_request, an_end


@pytest.fixture
def ledger() -> FakePodLedger:
    return FakePodLedger()


@pytest.fixture
def audit(ledger: FakePodLedger) -> Audit:
    return an_audit(ledger, HandClock())


def push(audit: Audit, request_id: str, *events: dict[str, Any]) -> bool:
    body = {"requestId": request_id, "agentName": "gymcoach", "events": events}
    return audit.take(decode_push(json.dumps(body).encode()))


def tool(name: str) -> dict[str, Any]:
    return {"type": "tool", "name": name}


def listed(audit: Audit) -> list[dict[str, object]]:
    return [encode_entry(entry) for entry in audit.ring.entries()]


def test_a_request_that_is_over_has_every_field_of_the_contract(audit: Audit) -> None:
    request = a_request()
    audit.began(request)
    push(
        audit,
        "r-1",
        {"type": "guardrail", "guardrailType": "pii", "invoked": True},
        tool("search"),
        {"type": "model", "modelId": "openai/gpt-5", "promptTokens": 7, "completionTokens": 3},
    )
    audit.ended(request, an_end(a_call()), [a_call()])
    assert listed(audit) == [
        {
            "requestId": "r-1",
            "timestamp": "2026-09-21T14:13:20.000Z",
            "method": "POST",
            "path": CHAT,
            "statusCode": 200,
            "durationMs": 250,
            "agentName": "gymcoach",
            "behavioralCompliant": None,
            "guardrailsInvoked": ["pii"],
            "toolsCalled": ["search"],
            "modelCalls": [{"modelId": "openai/gpt-5", "tokenCount": 10}],
            "opaViolations": [],
        }
    ]


def test_a_request_without_an_answer_has_no_status(audit: Audit) -> None:
    request = a_request()
    audit.began(request)
    assert "durationMs" not in listed(audit)[0]
    audit.ended(request, an_end(status=None, ended_by=EndedBy.UNREACHABLE, extraction=None), [])
    assert "statusCode" not in listed(audit)[0]
    assert listed(audit)[0]["durationMs"] == 250


def test_a_refused_request_shows_the_status_that_the_client_saw(audit: Audit) -> None:
    request = a_request()
    audit.began(request)
    refused = an_end(status=None, ended_by=EndedBy.REFUSED, extraction=None, sent=False)
    audit.ended(request, refused, [])
    assert listed(audit)[0]["statusCode"] == 403


@pytest.mark.parametrize(
    "order",
    [("first", "began", "ended"), ("began", "first", "ended"), ("began", "ended", "first")],
    ids="-".join,
)
def test_events_are_joined_whenever_they_come(audit: Audit, order: tuple[str, ...]) -> None:
    request = a_request(call_id="call")
    for step in order:
        if step == "began":
            audit.began(request)
        elif step == "ended":
            audit.ended(request, an_end(), [])
        else:
            assert push(audit, "call", tool("a")) == (order.index("began") < order.index("first"))
    assert push(audit, "r-1", tool("b"))
    assert listed(audit)[0]["toolsCalled"] == ["a", "b"]
    assert listed(audit)[0]["agentName"] == "gymcoach"
    assert listed(audit)[0]["statusCode"] == 200


def test_events_told_by_both_ids_before_the_request_are_all_joined(audit: Audit) -> None:
    push(audit, "call", tool("by call id"))
    push(audit, "r-1", tool("by request id"))
    audit.began(a_request(call_id="call"))
    assert listed(audit)[0]["toolsCalled"] == ["by request id", "by call id"]


def test_model_events_are_totals_of_the_ledger_before_the_push_is_answered(
    audit: Audit, ledger: FakePodLedger
) -> None:
    model = {"type": "model", "modelId": "openai/gpt-5", "promptTokens": 7, "completionTokens": 3}
    push(audit, "never comes", model, model)
    push(audit, "never comes", {"type": "model", "modelId": "openai/gpt-5", "tokenCount": "?"})
    assert [snapshot.totals for snapshot in ledger.seen] == [
        TokenCounts(input=14, output=6, calls=2),
        TokenCounts(input=14, output=6, calls=3, unmetered_calls=1),
    ]
    assert {snapshot.instance_id for snapshot in ledger.seen} == {EVENTS_INSTANCE}
    assert ledger.seen[-1].observer is Observer.EVENTS
    assert ledger.seen[-1].rows_complete


def test_a_push_without_model_events_says_nothing_to_the_ledger(
    audit: Audit, ledger: FakePodLedger
) -> None:
    push(audit, "r", tool("a"))
    assert ledger.seen == []


def test_a_ring_that_overflows_loses_no_tokens(ledger: FakePodLedger) -> None:
    audit = an_audit(ledger, HandClock(), size=2)
    for number in range(50):
        audit.began(a_request(f"r{number}"))
        push(audit, f"r{number}", {"type": "model", "modelId": "m", "tokenCount": 10})
    assert audit.ring.overwrites == 48
    assert ledger.seen[-1].totals == TokenCounts(input=500, calls=50)


async def test_listeners_hear_of_a_request_at_its_end_and_when_more_is_told(
    audit: Audit,
) -> None:
    listener = audit.feed.listen()
    assert listener is not None
    request = a_request()
    audit.began(request)
    push(audit, "r-1", tool("a"))
    audit.ended(request, an_end(), [])
    push(audit, "r-1", tool("b"))
    audit.announce("budget", {"reason": "softTokens"})
    heard: list[bytes] = []
    async for message in listener.messages(5):
        heard.append(message or b"")
        if len(heard) == 3:
            break
    assert [message.startswith(b"data: ") for message in heard] == [True, True, False]
    tools = [json.loads(message[6:])["toolsCalled"] for message in heard[:2]]
    assert tools == [["a"], ["a", "b"]]
    assert heard[2] == b'event: budget\ndata: {"reason":"softTokens"}\n\n'
