"""Agents that answer with everything but usage, beside an honest one, read by one operator.

Each becomes a condition with a reason. Nothing of what it sent is in a status or in the log, and
the agents beside it are read as if it were not there.
"""

from __future__ import annotations

import gzip
import json

import pytest

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from tests.fakes.agents import Network, Workers, dribbling
from tests.fakes.raw_agents import BODY, CANARY, Connection, answering, ok
from tests.integration.operator.processes import Operator
from tests.integration.operator.team import Team, condition, numbers
from tests.integration.operator.waiting import until

INSTANCE = "0123456789abcdef0123456789abcdef"


def _usage(**fields: object) -> bytes:
    body = {"instanceId": INSTANCE, "models": [], "note": CANARY} | fields
    return ok(json.dumps(body).encode())


def _row(**fields: object) -> bytes:
    row = {"modelId": f"openai/{CANARY}", "promptTokens": 1, "completionTokens": 1, "callCount": 1}
    return _usage(models=[row | fields])


def _text(body: str) -> bytes:
    return ok(body.encode())


HOSTILE: dict[str, Connection] = {
    "a byte a second": dribbling(ok(BODY)),
    "silence": answering(b"", pause=30),
    "redirect": answering(
        f"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/{CANARY}\r\n\r\n".encode()
    ),
    "error page": answering(f"HTTP/1.1 500 {CANARY}\r\n\r\n{CANARY}".encode()),
    "html": answering(ok(f"<html>{CANARY}</html>".encode(), "Content-Type: text/html\r\n")),
    "ten megabytes": answering(ok(CANARY.encode() * 500_000)),
    "endless": answering(b"HTTP/1.1 200 OK\r\n\r\n", *[CANARY.encode() * 5_000] * 100),
    "gzip": answering(ok(gzip.compress(BODY), "Content-Encoding: gzip\r\n")),
    "nan": answering(
        _text(f'{{"instanceId": "{INSTANCE}", "models": [], "totalTokens": NaN, "x": "{CANARY}"}}')
    ),
    "fraction": answering(_row(promptTokens=1.5)),
    "true as a count": answering(_row(promptTokens=True)),
    "negative": answering(_row(promptTokens=-5)),
    "ten to the thirty": answering(_row(promptTokens=10**30)),
    "above 2^53-1": answering(_row(promptTokens=MAX_COUNT + 1)),
    "duplicate keys": answering(
        _text(f'{{"instanceId": "{INSTANCE}", "models": [], "models": ["{CANARY}"]}}')
    ),
    "deep nesting": answering(_text('{"a":' * 50_000 + "1" + "}" * 50_000)),
    "deep lists": answering(_text("[" * 100_000)),
    "too many models": answering(
        _usage(models=[{"modelId": f"{CANARY}-{i}", "promptTokens": 1} for i in range(20_000)])
    ),
    "totals below the rows": answering(_row(promptTokens=100, completionTokens=0, totalTokens=1)),
    "a name that forges a log line": answering(_usage(instanceId=f"x\n{CANARY}\x1b[2J")),
    "half a surrogate": answering(
        _text('{"instanceId": "' + INSTANCE + '", "models": [{"modelId": "\\ud800"}]}')
    ),
}

UNREACHABLE = {"a byte a second", "silence"}


def _object_name(kind: str) -> str:
    return "h-" + "".join(c if c.isalnum() else "-" for c in kind).strip("-")


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    return ("--log-level=debug", "--failure-threshold=2")


@pytest.fixture(scope="module")
def hostile(crew: Team) -> Team:
    """The crew with an agent of each kind."""
    for kind, connection in HOSTILE.items():
        name = _object_name(kind)
        crew.run(connection, name)
        crew.observe(name)
    return crew


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind) for kind in HOSTILE])
def test_what_is_no_usage_is_a_condition_and_no_number(
    kind: str, hostile: Team, watching: Operator
) -> None:
    reason = "AgentUnreachable" if kind in UNREACHABLE else "BadResponse"
    status = hostile.until_condition(_object_name(kind), "Ready", "False", reason)
    assert condition(status, "Complete") == ("Unknown", "NotScrapedYet")
    assert status["phase"] == "Unhealthy"
    assert "usage" not in status
    assert CANARY not in json.dumps(status)


def test_an_honest_agent_is_read_while_every_other_one_is_hostile(
    hostile: Team, watching: Operator
) -> None:
    agent = Workers()
    agent.call()
    hostile.run(agent, "honest")
    hostile.observe("honest")
    first = hostile.until_shows("honest", agent)
    agent.call()
    second = hostile.until_shows("honest", agent, deadline=15)
    assert condition(first, "Ready") == condition(second, "Ready") == ("True", "Metered")


def test_one_hostile_pod_of_an_agent_hides_nothing_of_the_others(
    hostile: Team, watching: Operator
) -> None:
    agent = Workers()
    agent.call()
    hostile.run(agent, "mixed")
    hostile.run(HOSTILE["negative"], "mixed")
    hostile.observe("mixed")
    status = hostile.until_shows("mixed", agent)
    assert condition(status, "Ready") == ("False", "SomePodsUnreachable")
    assert condition(status, "Complete") == ("False", "ScrapeFailed")
    assert (status["usage"]["podsObserved"], status["usage"]["podsExpected"]) == (1, 2)


def test_ten_thousand_model_names_are_counted_and_twenty_are_shown(
    hostile: Team, watching: Operator
) -> None:
    rows = [
        {"modelId": f"m{i}", **({"promptTokens": 9, "callCount": 1} if i < 30 else {})}
        for i in range(10_000)
    ]
    body = {"instanceId": "f" * 32, "models": rows}
    hostile.run(answering(ok(json.dumps(body, separators=(",", ":")).encode())), "many")
    hostile.observe("many")
    status = hostile.until_shows("many", TokenCounts(input=270, calls=30))
    models = status["usage"]["models"]
    assert len(models) <= 22
    assert sum(model["totalTokens"] for model in models) == 270
    assert len(json.dumps(status)) < 24 * 1024


def test_sums_beyond_the_largest_number_stay_there_and_say_so(
    hostile: Team, watching: Operator
) -> None:
    agents = [Workers() for _ in range(2)]
    for agent in agents:
        agent.call(MAX_COUNT, 0)
        hostile.run(agent, "huge")
    hostile.observe("huge")
    status = hostile.until_condition("huge", "Complete", "False", "Saturated")
    assert numbers(status)["totalTokens"] == MAX_COUNT
    assert status["usage"]["completeness"] == "LowerBound"


def test_nothing_of_what_hostile_agents_sent_is_in_the_log(
    hostile: Team, watching: Operator
) -> None:
    wanted = {"Timeout", "Redirected", "TooLarge", "Encoded", "BadStatus", "BadBody"}
    until(
        lambda: wanted <= {str(line.get("reason")) for line in watching.lines()},
        "every kind of failure is in the log",
    )
    lines = watching.lines()
    assert CANARY not in watching.log
    assert not [line for line in lines if line["level"] == "error" or "exception" in line]


def test_an_agent_where_nobody_listens_is_unreachable_until_somebody_does(
    hostile: Team, watching: Operator, network: Network
) -> None:
    address = network.address()
    hostile.pod("absent", address)
    hostile.observe("absent")
    hostile.until_condition("absent", "Ready", "False", "AgentUnreachable")
    agent = Workers()
    agent.call()
    network.serve(agent, address)
    status = hostile.until_shows("absent", agent)
    assert condition(status, "Ready") == ("True", "Metered")
    assert condition(status, "Complete") == ("True", "Exact")


def test_an_agent_that_stops_answering_keeps_its_numbers_and_is_stale(
    hostile: Team, watching: Operator, network: Network
) -> None:
    agent = Workers()
    agent.call()
    address = network.serve(agent)
    hostile.pod("leaving", address)
    hostile.observe("leaving")
    hostile.until_shows("leaving", agent)
    network.stop(address)
    status = hostile.until_condition("leaving", "Ready", "False", "AgentUnreachable")
    assert numbers(status)["totalTokens"] == 120
    assert status["usage"]["completeness"] == "Stale"
    assert status["usage"]["reasons"] == ["ScrapeFailed"]
    agent.call()
    network.serve(agent, address)
    assert condition(hostile.until_shows("leaving", agent), "Ready") == ("True", "Metered")
