"""No connection leaves for a refused address: observed at the socket, not at the function that
decides.

One interpreter scrapes every address under an audit hook, which sees each connect and each name
lookup of the whole process before the kernel does, whatever library makes it. The hook also refuses
them, so the allowed addresses, which show that the hook sees what it should, are not contacted
either.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.fixtures.addresses import ALLOWED, REFUSED

_PROGRAM = """
import asyncio, json, sys

from agentspec_usage.metering.snapshot import UsageReading
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.scrape.http import HttpScraper, ScrapeSettings
from agentspec_usage.scrape.outcome import Target

seen = []

def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        seen.append([event, list(arguments[1])])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        seen.append([event, str(arguments[0])])
    else:
        return
    raise OSError("stopped by the test")

async def main():
    scraper = HttpScraper(ScrapeSettings(), lambda body: UsageReading(), SystemClock())
    answers = []
    for address, port, path in json.load(sys.stdin):
        seen.clear()
        outcome = await scraper.scrape(Target(address, port, path))
        answers.append({"failure": outcome.failure, "message": outcome.message, "seen": list(seen)})
    print(json.dumps(answers))

async def hooked():
    sys.addaudithook(hook)
    await main()

asyncio.run(hooked())
"""

_PATH = "/agentspec/usage"
_REFUSED_ADDRESSES = [address for addresses in REFUSED.values() for address in addresses]
_REFUSED_TARGETS = [
    *((address, 8080, _PATH) for address in _REFUSED_ADDRESSES),
    *(("10.0.0.1", port, _PATH) for port in (0, 22, 443, 1023, 65536)),
    *(("10.0.0.1", 8080, path) for path in ("//x", "/a b", "/a\r\nHost: x", "http://10.0.0.1/")),
]
_ALLOWED_TARGETS = [(address, 8080, _PATH) for address in ALLOWED]

Answers = dict[tuple[str, int, str], dict[str, Any]]


@pytest.fixture(scope="module")
def answers() -> Answers:
    targets = [*_REFUSED_TARGETS, *_ALLOWED_TARGETS]
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps(targets),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return dict(zip(targets, json.loads(ran.stdout), strict=True))


def test_there_are_more_than_forty_vectors() -> None:
    assert len(set(_REFUSED_ADDRESSES)) > 40


@pytest.mark.parametrize("target", [pytest.param(t, id=ascii(t)) for t in _REFUSED_TARGETS])
def test_a_refused_target_causes_no_connect_and_no_lookup(
    target: tuple[str, int, str], answers: Answers
) -> None:
    answer = answers[target]
    assert answer["seen"] == []
    assert answer["failure"] == "AddressRefused"


@pytest.mark.parametrize("target", _ALLOWED_TARGETS, ids=ALLOWED)
def test_an_allowed_address_is_connected_to_as_it_is_and_never_looked_up(
    target: tuple[str, int, str], answers: Answers
) -> None:
    answer = answers[target]
    assert [event for event, _ in answer["seen"]] == ["socket.connect"]
    assert answer["seen"][0][1][:2] == [target[0], 8080]
    assert answer["failure"] == "ConnectionFailed"
