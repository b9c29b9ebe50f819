"""What the operator hands in of pods, and the money that it gets back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.controlplane.settling import Settling
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.status.charges import charge_display, charges_of
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.wire.observed_answer import (
    AgentSaid,
    CostSaid,
    ObservedAnswer,
    PeriodSaid,
    decode_observed_answer,
)
from agentspec_usage.wire.observed_encoding import (
    Observation,
    encode_observation,
    encode_observed,
)
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.unit.controlplane.planes import ADMIN, OPERATOR, Plane, beat, running_plane
from tests.unit.store.values import GPT, INSTANCE, OTHER_INSTANCE, frame, record

DAY_MS = 86_400_000
DOLLAR = 10**12


def book(price: int, currency: str = "USD", model: str = "gpt") -> PriceBook:
    """So many units of the currency a token, so that sums can be read."""
    return read_price_book(
        f"""
currency: {currency}
entries:
  - match: {{provider: openai, model: "{model}"}}
    from: 2020-01-01
    tiers: [{{aboveInputTokens: 0, input: "{price}000000", output: "{price}000000"}}]
""",
        NO_PRICES,
    )


BOOK, IN_EUROS, EVERYTHING = book(1), book(2, "EUR"), book(1, model="*")


@pytest.fixture
async def plane(tmp_path: Path, settings: ControlPlaneSettings) -> AsyncIterator[Plane]:
    async with running_plane(tmp_path / "usage.db", settings, book=BOOK) as running:
        yield running


def snapshot(tokens: int, instance_id: str | None = INSTANCE, **changes: Any) -> UsageSnapshot:
    counts = TokenCounts(input=tokens, calls=tokens)
    observer = Observer.SDK if instance_id else Observer.LEGACY
    rows = (SeriesRow(GPT, counts),)
    return UsageSnapshot(counts, rows, instance_id=instance_id, observer=observer, **changes)


def observation(*snapshots: UsageSnapshot, name: str = "agent", **changes: Any) -> Observation:
    return Observation("team", name, "pod-1", reading=UsageReading(snapshots), **changes)


async def post(plane: Plane, *observations: Observation, **headers: Any) -> httpx.Response:
    body = encode_observed([encode_observation(one) for one in observations])
    return await plane.http.post("/usage/observed", content=body, headers=headers or OPERATOR)


async def hand_in(plane: Plane, *observations: Observation) -> ObservedAnswer:
    answer = await post(plane, *observations)
    assert answer.status_code == 200, answer.text
    return decode_observed_answer(answer.content)


async def said(plane: Plane, *observations: Observation) -> AgentSaid:
    (agent,) = (await hand_in(plane, *observations)).agents
    return agent


def estimated(tokens: int) -> CostSaid:
    return CostSaid("Estimated", tokens * DOLLAR, "USD")


async def deliver(plane: Plane, key: dict[str, str], calls: int) -> None:
    body = encode_records([encode_frame(_frame(calls))])
    answer = await plane.http.post("/usage/records", content=body, headers=key)
    assert answer.status_code == 200, answer.text


def _frame(calls: int) -> Frame:
    """The first calls of an instance, a token each, made now."""
    one = TokenCounts(input=1, calls=1)
    items = [record(seq, counts=one) for seq in range(1, calls + 1)]
    return frame(0, calls, *items)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X-Nobody": "1"}, id="nobody"),
        pytest.param(ADMIN, id="the administrator"),
        pytest.param({"Authorization": "Bearer something else"}, id="another key"),
    ],
)
async def test_nobody_but_the_operator_hands_anything_in(
    plane: Plane, headers: dict[str, str]
) -> None:
    answer = await post(plane, observation(snapshot(1)), **headers)
    assert answer.status_code == 401
    assert plane.rows("SELECT name FROM agents") == []


async def test_no_agents_key_hands_anything_in(plane: Plane) -> None:
    key = await plane.bearer()
    assert (await post(plane, observation(snapshot(1)), **key)).status_code == 401


async def test_what_was_seen_is_charged_provisionally_at_once(plane: Plane) -> None:
    found = await said(plane, observation(snapshot(7)))
    assert found == AgentSaid(
        *("team", "agent"),
        PeriodSaid(7, estimated(7)),
        PeriodSaid(7, estimated(7)),
        estimated(7),
        tail_tokens=7,
        tail_calls=7,
    )


async def test_seeing_it_again_changes_nothing_and_growth_adds_itself(plane: Plane) -> None:
    for tokens in (7, 7, 5, 9, 8):
        found = await said(plane, observation(snapshot(tokens)))
    assert (found.tail_tokens, found.cost) == (9, estimated(9))


async def test_what_is_delivered_is_no_tail_and_its_price_is_exact(plane: Plane) -> None:
    await said(plane, observation(snapshot(3)))
    key = await plane.bearer(runtime="k8s", namespace="team")
    await deliver(plane, key, 3)
    found = await said(plane, observation(snapshot(3)))
    assert found.cost == CostSaid("Exact", 3 * DOLLAR, "USD")
    assert (found.tail_tokens, found.tail_calls) == (0, 0)
    assert plane.rows("SELECT count(*) FROM tails UNION ALL SELECT count(*) FROM tail_marks") == [
        (0,),
        (0,),
    ]


async def test_pods_that_deliver_as_another_agent_cost_what_that_one_is_charged(
    plane: Plane,
) -> None:
    await said(plane, observation(snapshot(3), name="bot"))
    await deliver(plane, await plane.bearer(runtime="k8s", namespace="team"), 2)
    for question in (observation(snapshot(3), name="bot"), Observation("team", "bot")):
        found = await said(plane, question)
        assert found == AgentSaid("team", "bot", PeriodSaid(), PeriodSaid(), charged_as="agent")
    charged = await said(plane, Observation("team", "agent"))
    assert (charged.month.tokens, charged.tail_tokens, charged.charged_as) == (3, 1, "")


async def test_heartbeats_and_observations_of_one_instance_are_one_tail(plane: Plane) -> None:
    key = await plane.bearer(runtime="k8s", namespace="team")
    answer = await plane.http.post("/heartbeat", content=beat(INSTANCE, 30), headers=key)
    assert answer.status_code == 200
    assert (await said(plane, observation(snapshot(20)))).tail_tokens == 30
    assert (await said(plane, observation(snapshot(40)))).tail_tokens == 40


async def test_an_agent_that_was_only_observed_is_the_same_one_when_it_registers(
    plane: Plane,
) -> None:
    await said(plane, observation(snapshot(3)))
    registered = await plane.register("agent", runtime="k8s", namespace="team")
    assert plane.rows("SELECT agent_id, name, namespace FROM agents") == [
        (registered["agentId"], "agent", "team")
    ]


async def test_instances_of_a_pod_and_pods_of_an_agent_add(plane: Plane) -> None:
    found = await said(
        plane,
        observation(snapshot(3), snapshot(4, OTHER_INSTANCE)),
        Observation("team", "agent", "pod-2", reading=UsageReading((snapshot(5, "c" * 32),))),
    )
    assert found.tail_tokens == 12


async def test_what_travels_through_a_sidecar_is_not_counted_again(plane: Plane) -> None:
    assert (await hand_in(plane, observation(snapshot(3, via="sidecar")))).agents[0].cost is None


async def test_windows_of_a_sender_without_instances_add(plane: Plane) -> None:
    for start, tokens in ((1000, 5), (1000, 8), (1000, 6), (2000, 2)):
        found = await said(plane, observation(snapshot(tokens, None, window_started_at=start)))
    assert found.tail_tokens == 10
    for container, tokens in (("one", 5), ("two", 4), ("one", 3)):
        found = await said(plane, observation(snapshot(tokens, None), container=container))
    assert found.tail_tokens == 19


async def test_a_question_brings_nothing_and_makes_no_agent(plane: Plane) -> None:
    question = Observation("team", "agent")
    assert (await hand_in(plane, question)).agents == ()
    assert plane.rows("SELECT name FROM agents") == []
    await said(plane, observation(snapshot(3)))
    assert (await said(plane, question)).tail_tokens == 3


async def test_each_agent_is_answered_once_and_has_its_own_numbers(plane: Plane) -> None:
    """I14."""
    answer = await hand_in(
        plane,
        observation(snapshot(3), name="one"),
        observation(snapshot(4, OTHER_INSTANCE), name="two"),
        Observation("team", "one"),
    )
    assert [(agent.name, agent.tail_tokens) for agent in answer.agents] == [("one", 3), ("two", 4)]


async def test_a_new_day_and_a_new_month_begin_at_nothing(plane: Plane) -> None:
    answer = await hand_in(plane, observation(snapshot(3), seen_at=plane.clock.now()))
    plane.clock.pass_seconds((answer.today_ends - plane.clock.now()) / 1000)
    found = await said(plane, observation(snapshot(5)))
    assert (found.today.tokens, found.month.tokens, found.cost) == (2, 5, estimated(5))
    plane.clock.pass_seconds((answer.month_ends - plane.clock.now()) / 1000)
    found = await said(plane, observation(snapshot(6)))
    assert (found.today.tokens, found.month.tokens, found.cost) == (1, 1, estimated(6))


@pytest.mark.parametrize(
    "settings", [pytest.param(ControlPlaneSettings(zone="Asia/Kathmandu"), id="+05:45")]
)
async def test_days_are_those_of_the_zone(plane: Plane) -> None:
    answer = await hand_in(plane, observation(snapshot(3)))
    assert answer.today_ends % DAY_MS == DAY_MS - (5 * 60 + 45) * 60_000
    assert answer.month_ends % DAY_MS == answer.today_ends % DAY_MS
    plane.clock.pass_seconds((answer.today_ends - plane.clock.now()) / 1000)
    assert (await said(plane, observation(snapshot(5)))).today.tokens == 2


async def test_settled_usage_stands_in_its_day_and_is_no_tail(plane: Plane) -> None:
    settling = Settling(plane.store, plane.clock, 24)
    await said(plane, observation(snapshot(3)))
    await settling.round()
    assert (await said(plane, observation(snapshot(4)))).tail_tokens == 4
    plane.clock.pass_seconds(86_400 + 900)
    found = await said(plane, observation(snapshot(5)))
    await settling.round()
    settled = await said(plane, observation(snapshot(5)))
    assert (settled.cost, settled.month, settled.today) == (found.cost, found.month, found.today)
    assert (found.tail_tokens, settled.tail_tokens) == (5, 1)
    days = await plane.http.get("/usage/daily", headers=ADMIN)
    assert [day["totalTokens"] for day in days.json()["days"]] == [4]


async def test_a_settled_estimate_is_taken_back_by_its_calls(plane: Plane) -> None:
    key = await plane.bearer(runtime="k8s", namespace="team")
    await said(plane, observation(snapshot(5)))
    plane.clock.pass_seconds(86_400 + 900)
    await Settling(plane.store, plane.clock, 24).round()
    await deliver(plane, key, 3)
    found = await said(plane, observation(snapshot(5)))
    assert found.cost == estimated(5)
    assert plane.rows(
        "SELECT kind, sum(calls), sum(milli) FROM items GROUP BY kind ORDER BY kind"
    ) == [
        ("estimate", 5, 5000),
        ("record", 3, 3000),
        ("reversal", -3, -3000),
    ]


async def test_the_cost_centre_is_that_of_what_is_stored_from_then_on(plane: Plane) -> None:
    await said(plane, observation(snapshot(3), cost_center="research"))
    plane.clock.pass_seconds(86_400 + 900)
    await Settling(plane.store, plane.clock, 24).round()
    await said(plane, observation(snapshot(4), cost_center="sales"))
    plane.clock.pass_seconds(86_400 + 900)
    await Settling(plane.store, plane.clock, 24).round()
    assert plane.rows(
        "SELECT cost_center, sum(input) FROM items JOIN accounts USING (account) GROUP BY 1"
    ) == [("research", 3), ("sales", 1)]


async def test_usage_without_a_price_is_no_amount(plane: Plane) -> None:
    counts = TokenCounts(input=9, calls=1)
    unknown = UsageSnapshot(counts, (), instance_id=INSTANCE, observer=Observer.SDK)
    found = await said(plane, observation(unknown))
    assert found.cost == CostSaid("Unpriced", unpriced_tokens=9)
    found = await said(plane, observation(snapshot(4, OTHER_INSTANCE)))
    assert found.cost == CostSaid("Estimated", 4 * DOLLAR, "USD", unpriced_tokens=9)


@pytest.mark.parametrize(
    ("books", "cost", "shown"),
    [
        pytest.param(
            [NO_PRICES, BOOK], CostSaid("Exact", 3 * DOLLAR, "USD"), "$3.00", id="a price at last"
        ),
        pytest.param(
            [BOOK, NO_PRICES], CostSaid("Unpriced", unpriced_tokens=3), "?", id="no price any more"
        ),
        pytest.param(
            [BOOK, IN_EUROS], CostSaid("Exact", 6 * DOLLAR, "EUR"), "€6.00", id="another currency"
        ),
    ],
)
async def test_after_pricing_again_the_cost_is_that_of_the_new_prices(
    tmp_path: Path, books: Sequence[PriceBook], cost: CostSaid, shown: str
) -> None:
    database, settings = tmp_path / "usage.db", ControlPlaneSettings()
    async with running_plane(database, settings, book=books[0]) as plane:
        await deliver(plane, await plane.bearer(runtime="k8s", namespace="team"), 3)
    async with running_plane(database, settings, book=books[1]) as plane:
        told = await plane.http.post("/usage/reprice", json={"month": "2026-09"}, headers=ADMIN)
        assert told.json()["changed"] == 3
        answer = await hand_in(plane, observation(snapshot(3)))
    (agent,) = answer.agents
    assert (agent.cost, agent.today, agent.month) == (
        *(cost, PeriodSaid(3, cost), PeriodSaid(3, cost)),
    )
    charges = charges_of(agent, today_ends=answer.today_ends, month_ends=answer.month_ends)
    display = charge_display(charges, TokenCounts(input=3, calls=3))
    assert (display["cost"], display["month"]) == (shown, shown)


async def test_a_part_that_lost_its_price_is_told_beside_the_rest(tmp_path: Path) -> None:
    """One call has a price in either book, the other in the first alone."""
    database, settings = tmp_path / "usage.db", ControlPlaneSettings()
    one = TokenCounts(input=1, calls=1)
    other = record(2, counts=one, key=SeriesKey("openai", "retired"))
    body = encode_records([encode_frame(frame(0, 2, record(1, counts=one), other))])
    async with running_plane(database, settings, book=EVERYTHING) as plane:
        key = await plane.bearer(runtime="k8s", namespace="team")
        assert (await plane.http.post("/usage/records", content=body, headers=key)).is_success
        question = Observation("team", "agent")
        assert (await said(plane, question)).cost == CostSaid("Exact", 2 * DOLLAR, "USD")
    async with running_plane(database, settings, book=BOOK) as plane:
        await plane.http.post("/usage/reprice", json={"month": "2026-09"}, headers=ADMIN)
        assert (await said(plane, question)).cost == CostSaid("Exact", DOLLAR, "USD", 1)


@pytest.mark.parametrize(
    "settings", [pytest.param(ControlPlaneSettings(instance_burst=64), id="64 at once")]
)
async def test_an_agent_with_too_many_new_instances_costs_the_others_nothing(
    plane: Plane,
) -> None:
    many = [snapshot(1, f"{number:032x}") for number in range(40)]
    more = [snapshot(1, f"{number:032x}") for number in range(40, 80)]
    answer = await hand_in(
        plane,
        observation(*many, name="many"),
        observation(*more, name="many"),
        observation(snapshot(3), name="other"),
    )
    assert [(agent.name, agent.tail_tokens) for agent in answer.agents] == [
        ("many", 40),
        ("other", 3),
    ]
    assert plane.counted("agentspec_observations_left_out_total") == 1


async def test_an_agents_absurd_claims_do_not_spoil_the_answer_to_others(plane: Plane) -> None:
    """I14."""
    most = [snapshot(MAX_COUNT, f"{number:032x}") for number in range(3)]
    answer = await hand_in(plane, observation(*most), observation(snapshot(3), name="other"))
    absurd, other = answer.agents
    assert (absurd.month.tokens, absurd.tail_tokens) == (MAX_COUNT, MAX_COUNT)
    assert other.cost == estimated(3)


async def test_a_body_that_is_wrong_somewhere_is_refused_whole(plane: Plane) -> None:
    good = encode_observation(observation(snapshot(3)))
    bad = b'{"namespace":"team","name":"other","podUid":"p","snapshot":{"models":3}}'
    answer = await plane.http.post(
        "/usage/observed", content=encode_observed([good, bad]), headers=OPERATOR
    )
    assert answer.status_code == 422
    assert answer.json()["field"] == "observations[1].snapshot.models"
    assert plane.rows("SELECT name FROM agents") == []


@pytest.mark.parametrize(
    "settings", [pytest.param(ControlPlaneSettings(commit_wait=0.05), id="soon")]
)
async def test_what_is_not_durable_in_time_is_to_be_sent_again(plane: Plane) -> None:
    with plane.locked():
        answer = await post(plane, observation(snapshot(3)))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
