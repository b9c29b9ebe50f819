"""An exchange through the proxy is as many calls as used something, each in the ledger once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agentspec_usage.extraction.routing import find_route
from agentspec_usage.extraction.values import Extraction, ReadCall
from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.sidecar.calls import EndedBy, ProxiedEnd, ProxiedRequest, Refusal
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper
from agentspec_usage.sidecar.pod_meter import PodMeter
from tests.fakes.hand_clock import HandClock
from tests.unit.metering.readings import A
from tests.unit.metering.records import record as plain
from tests.unit.sidecar.ledger.keepers import frame_of, numbering, opened
from tests.unit.sidecar.proxied import a_call, a_request, an_end, chat_facts

UNMETERED = TokenCounts(calls=1, unmetered_calls=1)
POLLED = "resp_0123456789abcdef"


class Heard:
    """An observer, and a budget that refuses when it is told to."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.counted: list[int] = []
        self.refusal: Refusal | None = None

    def began(self, request: ProxiedRequest) -> None:
        self.events.append(f"began {request.key}")

    def read(self, request: ProxiedRequest, counted: Sequence[ReadCall]) -> None:
        self.counted += [call.counts.input for call in counted]

    def ended(self, request: ProxiedRequest, end: ProxiedEnd, counted: Sequence[ReadCall]) -> None:
        self.events.append(f"ended {request.key}")
        self.counted += [call.counts.input for call in counted]

    def admit(self, request: ProxiedRequest) -> Refusal | None:
        return self.refusal

    def spend(self, request: ProxiedRequest, counted: Sequence[ReadCall]) -> None:
        self.events.append("spent")

    def settle(self, request: ProxiedRequest, end: ProxiedEnd, counted: Sequence[ReadCall]) -> None:
        self.events.append("settled")


@pytest.fixture
def keeper() -> LedgerKeeper:
    return opened(None, HandClock(), numbering())


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def meter(keeper: LedgerKeeper, heard: Heard) -> PodMeter:
    return PodMeter(keeper, heard, [heard])


def totals(keeper: LedgerKeeper) -> TokenCounts:
    return keeper.account.snapshot(0).totals


def retrieval(key: str) -> ProxiedRequest:
    route = find_route("openai", "GET", f"/v1/responses/{POLLED}")
    assert route is not None
    assert route.retrieval
    return a_request(key, method="GET", facts=replace(chat_facts(), route=route))


def polled(*, retrieved: bool) -> ProxiedEnd:
    call = a_call(30, 0, response_id=POLLED, retrievable=True)
    return an_end(extraction=Extraction((call,), retrieval=retrieved))


def test_a_call_is_in_the_ledger_from_its_beginning(keeper: LedgerKeeper, meter: PodMeter) -> None:
    assert meter.begin(a_request("k")) is None
    assert keeper.account.pod.open_calls == ("k",)
    assert keeper.account.opened["k"].model == "gpt-5"


def test_a_call_with_usage_counts_at_its_end(
    keeper: LedgerKeeper, meter: PodMeter, heard: Heard
) -> None:
    request = a_request("k")
    meter.begin(request)
    meter.end(request, an_end(a_call(100, 20)))
    assert totals(keeper) == TokenCounts(input=100, output=20, calls=1)
    assert heard.events == ["began k", "settled", "ended k"]
    assert heard.counted == [100]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(an_end(extraction=Extraction(unmetered=True)), id="no usage in an answer"),
        pytest.param(
            an_end(status=None, ended_by=EndedBy.TIMEOUT, extraction=None), id="no answer"
        ),
        pytest.param(
            an_end(status=None, ended_by=EndedBy.CLIENT, extraction=None),
            id="a client that left before the answer",
        ),
    ],
)
def test_a_call_that_may_have_used_something_is_unmetered(
    keeper: LedgerKeeper, meter: PodMeter, end: ProxiedEnd
) -> None:
    request = a_request("k")
    meter.begin(request)
    meter.end(request, end)
    assert totals(keeper) == UNMETERED
    assert keeper.account.snapshot(0).rows[0].key.model == "gpt-5"


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(an_end(status=429, extraction=Extraction()), id="refused by the provider"),
        pytest.param(
            an_end(status=None, ended_by=EndedBy.UNREACHABLE, extraction=None, sent=False),
            id="never sent",
        ),
        pytest.param(an_end(status=400, extraction=None), id="refused and not read"),
    ],
)
def test_a_call_that_used_nothing_was_none(
    keeper: LedgerKeeper, meter: PodMeter, end: ProxiedEnd
) -> None:
    request = a_request("k")
    meter.begin(request)
    meter.end(request, end)
    assert totals(keeper) == ZERO
    assert keeper.account.pod.open_calls == ()


def test_a_refused_request_is_heard_of_and_is_no_call(
    keeper: LedgerKeeper, meter: PodMeter, heard: Heard
) -> None:
    heard.refusal = Refusal({"reason": "spent"})
    request = a_request("k")
    assert meter.begin(request) is heard.refusal
    meter.end(request, an_end(status=403, ended_by=EndedBy.REFUSED, extraction=None, sent=False))
    assert (totals(keeper), keeper.account.pod.open_calls) == (ZERO, ())
    assert heard.events == ["began k", "ended k"]


def test_a_request_that_is_not_metered_is_heard_of_and_is_no_call(
    keeper: LedgerKeeper, meter: PodMeter, heard: Heard
) -> None:
    request = a_request("k", facts=None, path="/v1/models")
    meter.begin(request)
    meter.end(request, an_end(extraction=None))
    assert (totals(keeper), keeper.account.pod.open_calls) == (ZERO, ())
    assert heard.events == ["began k", "settled", "ended k"]


def test_several_usages_of_one_exchange_are_several_calls(
    keeper: LedgerKeeper, meter: PodMeter
) -> None:
    request = a_request("k", call_id="c")
    meter.begin(request)
    meter.end(request, an_end(a_call(100, 20), a_call(5, 1)))
    assert totals(keeper) == TokenCounts(input=105, output=21, calls=2)


def test_calls_on_a_long_connection_count_as_they_complete(
    keeper: LedgerKeeper, meter: PodMeter, heard: Heard
) -> None:
    request = a_request("k")
    meter.begin(request)
    meter.read(request, [a_call(10, 0)])
    meter.read(request, [a_call(20, 0), a_call(30, 0)])
    assert totals(keeper) == TokenCounts(input=60, calls=3)
    meter.end(request, an_end(extraction=Extraction()))
    assert totals(keeper) == TokenCounts(input=60, calls=3)
    assert keeper.account.pod.open_calls == ()
    assert heard.counted == [10, 20, 30]
    assert heard.events == ["began k", "spent", "spent", "settled", "ended k"]


def test_a_long_connection_that_breaks_within_a_call_leaves_an_unmetered_one(
    keeper: LedgerKeeper, meter: PodMeter
) -> None:
    request = a_request("k")
    meter.begin(request)
    meter.read(request, [a_call(10, 0)])
    meter.end(request, an_end(extraction=Extraction(unmetered=True)))
    assert totals(keeper) == TokenCounts(input=10, calls=2, unmetered_calls=1)


def test_a_stored_response_that_is_read_again_is_not_used_again(
    keeper: LedgerKeeper, meter: PodMeter, heard: Heard
) -> None:
    made = a_request("k")
    meter.begin(made)
    meter.end(made, polled(retrieved=False))
    for key in ("g1", "g2"):
        meter.begin(retrieval(key))
        meter.end(retrieval(key), polled(retrieved=True))
    assert totals(keeper) == TokenCounts(input=30, calls=1)
    assert heard.counted == [30]


def test_a_background_response_counts_once_when_it_is_polled(
    keeper: LedgerKeeper, meter: PodMeter, heard: Heard
) -> None:
    made = a_request("k", call_id="c")
    meter.begin(made)
    meter.end(made, an_end(extraction=Extraction(pending_id=POLLED)))
    assert (totals(keeper), keeper.account.pod.open_calls) == (ZERO, ("k",))
    for key in ("g1", "g2"):
        meter.begin(retrieval(key))
        meter.end(retrieval(key), polled(retrieved=True))
    assert totals(keeper) == TokenCounts(input=30, calls=1)
    assert keeper.account.pod.open_calls == ()
    assert heard.counted == [30]


def test_a_response_that_was_made_elsewhere_counts_when_it_is_first_read(
    keeper: LedgerKeeper, meter: PodMeter
) -> None:
    for key in ("g1", "g2"):
        meter.begin(retrieval(key))
        meter.end(retrieval(key), polled(retrieved=True))
    assert totals(keeper) == TokenCounts(input=30, calls=1)


def test_a_call_that_an_sdk_tells_of_by_its_header_counts_once(
    keeper: LedgerKeeper, meter: PodMeter
) -> None:
    request = a_request("k", call_id="c")
    meter.begin(request)
    keeper.write(frame_of(keeper, A, replace(plain(1, 100), call_id="c")))
    meter.end(request, an_end(a_call(100, 0)))
    snapshot = keeper.account.snapshot(0)
    assert (snapshot.totals, snapshot.upper_tokens) == (TokenCounts(input=100, calls=1), None)


def test_an_aborted_call_counts_what_was_seen(keeper: LedgerKeeper, meter: PodMeter) -> None:
    request = a_request("k")
    meter.begin(request)
    seen = a_call(7, 0, status=CallStatus.ABORTED)
    meter.end(request, an_end(seen, ended_by=EndedBy.UPSTREAM_ABORT))
    assert totals(keeper) == TokenCounts(input=7, calls=1)
