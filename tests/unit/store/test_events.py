"""Usage events become items like every call, links of their sessions' chains, and batches."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from agentspec_usage.metering.event_sealing import EventFrame, EventSealing
from agentspec_usage.metering.usage_event import UsageEvent
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.store.errors import StoreRefusedError
from agentspec_usage.store.events import FlushedEvents
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.values import Agent
from tests.unit.metering.usage_events import drawing, event
from tests.unit.store.values import NOW, edited, register, rows

BOOK = read_price_book(
    """
currency: EUR
entries:
  - match: {provider: openai, model: gpt}
    tiers: [{aboveInputTokens: 0, input: "2", output: "10"}]
""",
    NO_PRICES,
)


class Sender:
    """One agent's events on their way into the store."""

    def __init__(self, store: SqlStore, agent: Agent) -> None:
        self.store = store
        self.agent = agent
        self.sealing = EventSealing(drawing())

    def own(self, *events: UsageEvent) -> tuple[EventFrame, ...]:
        return self.sealing.frames(replace(one, agent_id=self.agent.agent_id) for one in events)

    async def flush(self, *events: UsageEvent) -> FlushedEvents:
        frames = self.own(*events)
        flushed = await self.store.flush_events(frames, NOW)
        self.sealing.durable(frames)
        return flushed


@pytest.fixture
async def sender(store: SqlStore) -> Sender:
    return Sender(store, await register(store))


def links(database: str, where: str = "1 = 1") -> list[dict[str, Any]]:
    found = rows(database, f"SELECT link FROM usage_events WHERE {where} ORDER BY item")
    return [json.loads(text) for (text,) in found]


def canonical(document: object) -> bytes:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


async def test_events_are_calls_that_are_billed(database: str, sender: Sender) -> None:
    await sender.flush(event(tokens=100), event(tokens=50, event_id="e"))
    found = rows(
        database,
        "SELECT kind, first_seq, input, output, calls, observer FROM items "
        "JOIN instances USING (instance) ORDER BY item",
    )
    assert found == [
        ("record", 1, 100, 1, 1, "events"),
        ("record", 2, 50, 1, 1, "events"),
    ]
    assert rows(database, "SELECT sum(items), sum(input), sum(calls) FROM day_sums") == [
        (2, 150, 2)
    ]


async def test_a_batch_sums_what_its_events_cost(database: str) -> None:
    store = open_store(database, book=BOOK)
    try:
        sender = Sender(store, await register(store))
        unknown = replace(event(tokens=7), model="another")
        batch = (await sender.flush(event(tokens=100), event(tokens=50), unknown)).batches[0]
    finally:
        store.close()
    # 150 input tokens at 2 and 2 output tokens at 10 a million.
    assert batch.costs == {"EUR": "0.00032"}
    assert batch.unpriced == 1
    assert batch.models == ("another", "gpt")
    assert batch.agent == "team/agent"
    assert (batch.events, batch.input_tokens, batch.output_tokens) == (3, 157, 3)
    assert (batch.total_tokens, batch.tool_calls) == (160, 6)


async def test_totals_that_some_events_declare_and_some_do_not_are_all_summed(
    sender: Sender,
) -> None:
    declared = replace(event(tokens=10), total=500)
    batch = (await sender.flush(declared, event(tokens=20))).batches[0]
    assert batch.total_tokens == 521


async def test_two_runs_of_one_session_are_two_batches_of_one_chain(
    database: str, sender: Sender
) -> None:
    flushed = await sender.flush(event(run="r1"), event(run="r2"), event(run="r1"))
    assert [(batch.run, batch.events) for batch in flushed.batches] == [("r1", 2), ("r2", 1)]
    chain = links(database)
    assert [(link["seq"], link["runId"]) for link in chain] == [(1, "r1"), (2, "r2"), (3, "r1")]
    assert chain[0]["_prevHash"] == "0" * 64
    assert [link["_prevHash"] for link in chain[1:]] == [link["_hash"] for link in chain[:-1]]


async def test_a_parent_run_parts_batches_too(database: str, sender: Sender) -> None:
    child = replace(event(run="r"), parent_run="p")
    flushed = await sender.flush(event(run="r"), child)
    assert [batch.parent_run for batch in flushed.batches] == ["", "p"]
    assert ["parentRunId" in link for link in links(database)] == [False, True]


async def test_the_same_session_of_two_agents_is_two_chains_and_two_batches(
    store: SqlStore, database: str, sender: Sender
) -> None:
    other = await register(store, "other")
    sealing = EventSealing(drawing())
    events = [replace(event(), agent_id=one.agent_id) for one in (sender.agent, other)]
    flushed = await store.flush_events(sealing.frames(events), NOW)
    assert [batch.agent for batch in flushed.batches] == ["team/agent", "team/other"]
    assert [link["seq"] for link in links(database)] == [1, 1]


async def test_a_chain_goes_on_in_the_next_flush(database: str, sender: Sender) -> None:
    await sender.flush(event())
    await sender.flush(event(), event("another"))
    first, second, other = links(database)
    assert (second["seq"], second["_prevHash"]) == (2, first["_hash"])
    assert (other["seq"], other["sessionId"]) == (1, "another")


async def test_a_link_is_hashed_over_the_canonical_form_of_what_is_stored(
    database: str, sender: Sender
) -> None:
    await sender.flush(event("sitzung-ü \U0001f600"))
    ((text,),) = rows(database, "SELECT link FROM usage_events")
    link = json.loads(text)
    assert text.encode() == canonical(link)
    said = link.pop("_hash")
    assert sha256(canonical(link)).hexdigest() == said
    assert link["event"]["item"] == 1


async def test_the_hash_of_a_batch_can_be_computed_from_the_table_by_anybody(
    database: str, sender: Sender
) -> None:
    batch = (await sender.flush(event(run="r"), event("t"), event(run="r"))).batches[0]
    stored = sorted(links(database, "batch = 1"), key=lambda link: int(link["seq"]))
    assert len(stored) == 2
    assert sha256(canonical(stored)).hexdigest() == batch.hash


async def test_a_flush_whose_answer_was_lost_counts_once(database: str, sender: Sender) -> None:
    frames = sender.own(event(), event())
    first = await sender.store.flush_events(frames, NOW)
    again = await sender.store.flush_events(frames, NOW + 1000)
    assert (len(first.batches), again) == (1, FlushedEvents())
    assert len(links(database)) == 2
    assert rows(database, "SELECT sum(calls) FROM items") == [(2,)]


async def test_a_store_that_went_back_in_time_says_so_and_writes_nothing(
    store: SqlStore, database: str, sender: Sender
) -> None:
    other = await register(store, "other")
    await sender.flush(event())
    lost = sender.own(event())
    sender.sealing.durable(lost)
    later = replace(event(), agent_id=other.agent_id)
    flushed = await store.flush_events(sender.sealing.frames([*lost[0].events, later]), NOW)
    assert flushed == FlushedEvents(rewound=(sender.agent.agent_id,))
    assert len(links(database)) == 1
    sender.sealing.rewound(flushed.rewound)
    assert len((await store.flush_events(sender.sealing.frames([later]), NOW)).batches) == 1
    assert len((await sender.flush(event())).batches) == 1
    assert rows(database, "SELECT sum(calls) FROM items") == [(3,)]


async def test_a_batch_is_checked_when_it_is_read(store: SqlStore, sender: Sender) -> None:
    batch = (await sender.flush(event(), event())).batches[0]
    found = await store.event_batch(batch.batch_id)
    assert found is not None
    assert (found.batch, found.finding) == (batch, "")
    assert await store.event_batch(batch.batch_id, sender.agent.agent_id) == found
    assert await store.event_batch(batch.batch_id, "agt_of_another") is None
    assert await store.event_batch("f" * 32) is None


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(event(agent="agt_nobody"), "expected one that is registered", id="no agent"),
        pytest.param(event("\ud800"), "UnicodeEncodeError", id="a text that is none"),
    ],
)
async def test_an_event_that_can_never_be_stored_is_refused_and_nothing_is_written(
    store: SqlStore, database: str, sender: Sender, broken: UsageEvent, said: str
) -> None:
    of_agent = {"agt_a": sender.agent.agent_id}
    frames = EventSealing(drawing()).frames(
        replace(one, agent_id=of_agent.get(one.agent_id, one.agent_id)) for one in (event(), broken)
    )
    with pytest.raises(StoreRefusedError, match=said):
        await store.flush_events(frames, NOW)
    for table in ("items", "usage_events", "event_batches", "event_sessions", "day_sums"):
        assert rows(database, f"SELECT count(*) FROM {table}") == [(0,)], table


@pytest.mark.parametrize("session", ["\ud800", "a\x00b", "ü"])
async def test_what_is_set_aside_is_there_whatever_is_in_it(
    store: SqlStore, database: str, session: str
) -> None:
    poison = replace(event(), session=session)
    await store.set_event_aside(poison, "cannot be stored", NOW)
    ((agent, at, reason, text),) = rows(
        database, "SELECT agent_id, at, reason, event FROM quarantined_events"
    )
    assert (agent, at, reason) == ("agt_a", NOW, "cannot be stored")
    assert json.loads(text)["session"] == session


async def test_what_is_set_aside_is_bounded(store: SqlStore, database: str) -> None:
    """Ten thousand are kept; here the oldest is made older, instead of writing ten thousand."""
    for session in ("first", "second"):
        await store.set_event_aside(event(session), "bad", NOW)
    with edited(database) as connection:
        connection.execute(
            "UPDATE quarantined_events SET quarantined = -9997 WHERE quarantined = 1"
        )
    await store.set_event_aside(event("third"), "bad", NOW)
    kept = rows(database, "SELECT event FROM quarantined_events ORDER BY quarantined")
    assert [json.loads(text)["session"] for (text,) in kept] == ["second", "third"]


async def test_another_process_goes_on_with_the_chains_of_one_that_ended(database: str) -> None:
    store = open_store(database)
    agent = await register(store)
    await Sender(store, agent).flush(event(), event())
    store.close()
    store = open_store(database)
    try:
        sender = Sender(store, agent)
        sender.sealing = EventSealing(lambda: "f" * 32)
        await sender.flush(event())
    finally:
        store.close()
    assert [link["seq"] for link in links(database)] == [1, 2, 3]
    assert verify_database(database).finding is None


async def test_two_control_planes_on_one_server_write_one_chain(postgresql: str) -> None:
    first, second = open_store(postgresql), open_store(postgresql)
    try:
        agent = await register(first)
        senders = [Sender(first, agent), Sender(second, agent)]
        senders[1].sealing = EventSealing(lambda: "f" * 32)
        for _ in range(5):
            flushed = await asyncio.gather(*[one.flush(event(), event()) for one in senders])
            assert [len(each.batches) for each in flushed] == [1, 1]
    finally:
        first.close()
        second.close()
    assert [link["seq"] for link in links(postgresql)] == list(range(1, 21))
    assert verify_database(postgresql).finding is None
