"""The agent's own usage joins the ledger as totals, once for each instance that it shows."""

from __future__ import annotations

import pytest

from agentspec_usage.errors import SettingsError
from agentspec_usage.metering.snapshot import UsageReading, UsageSnapshot
from agentspec_usage.scrape.outcome import Failure, Outcome, Read, ScrapeFailure, Target
from agentspec_usage.sidecar.agent_reading import AgentReading, agent_target
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper
from agentspec_usage.sidecar.pod_usage import LedgerTotals
from tests.fakes.hand_clock import HandClock
from tests.unit.metering.readings import A, B, reading, snapshot, tokens
from tests.unit.metering.records import record as plain
from tests.unit.sidecar.ledger.keepers import ending, numbering, opened, opening


class Shown:
    """A scraper of an agent that shows what it is told to."""

    def __init__(self) -> None:
        self.outcome: Outcome = ScrapeFailure(Failure.TIMEOUT, "no answer", 1.0)

    def shows(self, *snapshots: UsageSnapshot) -> None:
        self.outcome = Read(UsageReading(reading(*snapshots).snapshots), 0.1, 10)

    async def scrape(self, target: Target) -> Outcome:
        return self.outcome

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def keeper() -> LedgerKeeper:
    return opened(None, HandClock(), numbering())


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
def agent(keeper: LedgerKeeper, shown: Shown) -> AgentReading:
    return AgentReading(shown, Target("127.0.0.1", 8080, "/"), LedgerTotals(keeper), 15)


async def test_totals_join_what_the_proxy_saw_and_the_sum_is_the_bound(
    keeper: LedgerKeeper, shown: Shown, agent: AgentReading
) -> None:
    keeper.write(opening(keeper, "k"))
    keeper.write(ending(keeper, "k", plain(0, 10)))
    shown.shows(snapshot(A, 25), snapshot(B, 5))
    await agent.read()
    await agent.read()
    now = keeper.account.snapshot(0)
    assert (now.totals.total, now.upper_tokens) == (30, 40)
    assert keeper.account.other_sides == ("agent",)


async def test_an_agent_that_does_not_answer_changes_nothing(
    keeper: LedgerKeeper, shown: Shown, agent: AgentReading
) -> None:
    shown.shows(snapshot(A, 25))
    await agent.read()
    shown.outcome = ScrapeFailure(Failure.TIMEOUT, "no answer", 1.0)
    await agent.read()
    assert keeper.account.snapshot(0).totals == tokens(25, calls=1)


@pytest.mark.parametrize(
    "left_alone",
    [
        pytest.param(snapshot(A, 25, via="sidecar"), id="its frames come here"),
        pytest.param(snapshot(None, 25), id="a window without an instance"),
        pytest.param(snapshot(A, {}), id="nothing counted"),
    ],
)
async def test_totals_that_cannot_join_are_left_alone(
    keeper: LedgerKeeper, shown: Shown, agent: AgentReading, left_alone: UsageSnapshot
) -> None:
    shown.shows(left_alone)
    await agent.read()
    now = keeper.account.snapshot(0)
    assert (now.totals.total, now.upper_tokens, keeper.account.other_sides) == (0, None, ())


def test_an_address_of_the_pod_is_taken() -> None:
    assert agent_target("http://127.0.0.1:8080/usage") == Target("127.0.0.1", 8080, "/usage")
    assert agent_target("http://localhost:8080") == Target("127.0.0.1", 8080, "/agentspec/usage")
    assert agent_target("http://[::1]:8080/u") == Target("::1", 8080, "/u")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:8080/",
        "http://127.0.0.1/",
        "http://10.0.0.7:8080/",
        "http://agent:8080/",
        "http://127.0.0.1:8080/?key=1",
        "http://127.0.0.1:99999/",
        "nonsense",
    ],
)
def test_an_address_outside_the_pod_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="an address of this pod"):
        agent_target(url)
