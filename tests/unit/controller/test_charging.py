"""An answer is true of the moment in which the object was asked for."""

from __future__ import annotations

from dataclasses import replace

from agentspec_usage.controller.charging import Charging
from agentspec_usage.controller.observation_outbox import ObservationOutbox
from agentspec_usage.controller.pod_health import Health
from agentspec_usage.controller.register import Register
from agentspec_usage.kube.status_write import Priority
from agentspec_usage.metering.checkpoint import AccruedCost, observe
from agentspec_usage.status.charges import Charges
from agentspec_usage.wire.observed_answer import (
    AgentSaid,
    CostSaid,
    ObservedAnswer,
    PeriodSaid,
)
from tests.fakes.cluster_objects import FakeCluster
from tests.fakes.operators import FakeOperator
from tests.fakes.virtual_time import run_in_virtual_time
from tests.unit.controller.records import record
from tests.unit.metering.readings import POD, A, reading, snapshot

SAID = CostSaid("Exact", 100, "USD")
ANSWER = ObservedAnswer((AgentSaid("team", "bot", PeriodSaid(), PeriodSaid(), SAID),), 9, 9)


def test_what_is_counted_while_the_answer_is_under_way_is_added_to_it() -> None:
    register, outbox, bot = Register(), ObservationOutbox(), record()
    register.put(bot)
    charging = Charging(register)
    outbox.keep(bot)
    batch = outbox.take(9, 9, 0)
    assert batch is not None
    seen = observe(bot.checkpoint, POD, reading(snapshot(A, 5)), 1)
    bot.checkpoint = replace(seen, cost=AccruedCost("USD", 7, 5))
    assert charging.take(ANSWER, batch) == [(bot, True)]
    assert charging.charges(bot, {}, 1).cost == CostSaid("Estimated", 107, "USD")
    assert charging.take(ANSWER, batch) == []


def test_what_is_charged_as_another_agent_is_estimated_by_the_operator_itself() -> None:
    register, outbox, bot = Register(), ObservationOutbox(), record()
    register.put(bot)
    charging = Charging(register)
    outbox.keep(bot)
    batch = outbox.take(9, 9, 0)
    assert batch is not None
    elsewhere = replace(ANSWER.agents[0], cost=None, charged_as="research")
    charging.take(replace(ANSWER, agents=(elsewhere,)), batch)
    seen = observe(bot.checkpoint, POD, reading(snapshot(A, 5)), 1)
    bot.checkpoint = replace(seen, cost=AccruedCost("USD", 7, 5))
    assert charging.charges(bot, {}, 1) == Charges(charged_as="research")
    again = Charging(register)
    bot.charged = None
    assert again.charges(bot, {"usage": {"chargedAs": "research"}}, 1).charged_as == "research"


def test_an_answer_leaves_a_fold_that_is_to_be_repeated_its_priority() -> None:
    async def main() -> None:
        operator, bot = FakeOperator(FakeCluster()), record()
        operator.register.put(bot)
        bot.health, bot.unsettled = Health(), Priority.FOLD
        operator.publisher.charged(bot, first=False)
        assert bot.unsettled is Priority.FOLD
        assert operator.writer.stats.dirty == 0

    run_in_virtual_time(main)
