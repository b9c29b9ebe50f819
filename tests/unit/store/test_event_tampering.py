"""Whatever is changed in stored usage events afterwards is found, and named where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from agentspec_usage.metering.event_sealing import EventSealing
from agentspec_usage.store.opening import open_store, reading, verify_database
from agentspec_usage.store.proof.event_chain import canonical_json
from agentspec_usage.store.sql.event_checks import first_wrong_event
from tests.unit.metering.usage_events import drawing, event
from tests.unit.store.values import NOW, apply, edited, frame, register, rows

EVENTS = 7


async def fill(database: str) -> None:
    """Items 1 to 3 of a frame; then a b | a a b | b a: events 4 to 10, in three flushes."""
    store = open_store(database)
    try:
        agent = await register(store)
        await apply(store, agent, frame(0, 3))
        sealing = EventSealing(drawing())
        for sessions in ("ab", "aab", "ba"):
            events = [
                replace(event(session, run=f"r{n % 2}"), agent_id=agent.agent_id)
                for n, session in enumerate(sessions)
            ]
            frames = sealing.frames(events)
            await store.flush_events(frames, NOW)
            sealing.durable(frames)
    finally:
        store.close()


@pytest.fixture
async def database(new_database: Callable[[], str]) -> str:
    made = new_database()
    await fill(made)
    return made


def change(database: str, statement: str, *values: object) -> None:
    with edited(database) as connection:
        connection.execute(statement, values)


def found(database: str) -> str:
    with reading(database) as connection:
        return ": ".join(first_wrong_event(connection) or ())


def rewritten(text: str, **changes: Any) -> str:
    """A link that hashes right and says something else."""
    said = json.loads(text)
    said["event"] = {**said["event"], **changes}
    del said["_hash"]
    said["_hash"] = sha256(canonical_json(said).encode()).hexdigest()
    return canonical_json(said)


def test_what_nobody_changed_is_whole(database: str) -> None:
    assert found(database) == ""
    assert rows(database, "SELECT count(*) FROM usage_events") == [(EVENTS,)]


def test_verifying_the_database_looks_at_events_too(database: str) -> None:
    assert verify_database(database).finding is None
    change(database, "UPDATE usage_events SET link = replace(link, 'gpt', 'gpu') WHERE item = 6")
    finding = str(verify_database(database).finding)
    assert finding == "the event of row 6: it is not what was accepted"


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        pytest.param(
            "DELETE FROM usage_events WHERE item = 4",
            "the event of row 6: it does not follow event 0 of its session as it is",
            id="the first event",
        ),
        pytest.param(
            "DELETE FROM usage_events WHERE item = 10",
            "session 'a': it does not end with event 3",
            id="the last event",
        ),
        pytest.param(
            "DELETE FROM usage_events WHERE item = 9",
            "session 'b': it does not end with event 2",
            id="the last event of the last session",
        ),
        pytest.param(
            "UPDATE usage_events SET session = 2 WHERE item = 4",
            "the event of row 6: it does not follow event 0 of its session as it is",
            id="an event moved to another session",
        ),
        pytest.param(
            "UPDATE usage_events SET batch = 1 WHERE item = 6",
            "the event of row 6: it is not what was accepted",
            id="an event moved to another batch",
        ),
        pytest.param(
            "UPDATE usage_events SET item = 3 WHERE item = 4",
            "the event of row 3: it is not what was charged",
            id="an event moved to another item",
        ),
        pytest.param(
            "UPDATE event_sessions SET seq = seq - 1 WHERE session = 1",
            "session 'a': it does not end with event 4",
            id="a head",
        ),
        pytest.param(
            "UPDATE event_sessions SET name = 'c' WHERE session = 1",
            "the event of row 4: it is not what was accepted",
            id="a session's name",
        ),
        pytest.param(
            "DELETE FROM event_sessions WHERE session = 1",
            "the event of row 4: it is not what was accepted",
            id="a session",
        ),
        pytest.param(
            "DELETE FROM usage_events WHERE session = 2",
            "session 'b': its events are missing",
            id="all events of a session",
        ),
        pytest.param(
            "INSERT INTO event_sessions (agent, name, seq, hash) VALUES (1, 'c', 0, '')",
            "session 'c': its events are missing",
            id="a session that never was",
        ),
        pytest.param(
            "DELETE FROM event_batches WHERE batch = 1",
            "the event of row 4: it is not what was accepted",
            id="a batch",
        ),
    ],
)
def test_what_is_cut_out_moved_or_renamed_is_named(
    database: str, statement: str, finding: str
) -> None:
    change(database, statement)
    assert found(database) == finding


def test_a_session_whose_end_was_cut_off_with_its_head_is_found(database: str) -> None:
    ((text,),) = rows(database, "SELECT link FROM usage_events WHERE item = 7")
    change(database, "DELETE FROM usage_events WHERE item = 10")
    change(
        database,
        "UPDATE event_sessions SET seq = 3, hash = ? WHERE name = 'a'",
        json.loads(text)["_hash"],
    )
    assert found(database) == "the event of row 10: it is missing"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"inputTokens": 11}, id="counts"),
        pytest.param({"model": "cheap"}, id="model"),
        pytest.param({"item": 10}, id="item"),
    ],
)
def test_a_link_that_was_written_anew_is_not_what_was_charged(
    database: str, changes: dict[str, Any]
) -> None:
    """The last link of a chain, its hash and its head made right again."""
    ((text,),) = rows(database, "SELECT link FROM usage_events WHERE item = 9")
    forged = rewritten(text, **changes)
    change(database, "UPDATE usage_events SET link = ? WHERE item = 9", forged)
    change(
        database,
        "UPDATE event_sessions SET hash = ? WHERE name = 'b'",
        json.loads(forged)["_hash"],
    )
    assert found(database) == "the event of row 9: it is not what was charged"


def test_a_link_that_was_written_anew_in_what_is_not_charged_breaks_its_batch(
    database: str,
) -> None:
    ((text, batch_id),) = rows(
        database,
        "SELECT link, batch_id FROM usage_events JOIN event_batches USING (batch) WHERE item = 9",
    )
    forged = rewritten(text, toolCalls=99)
    change(database, "UPDATE usage_events SET link = ? WHERE item = 9", forged)
    change(
        database,
        "UPDATE event_sessions SET hash = ? WHERE name = 'b'",
        json.loads(forged)["_hash"],
    )
    assert found(database) == f"batch {batch_id}: its events do not make what was told of it"


def test_a_link_of_a_shape_that_is_none_is_found_though_it_hashes_right(database: str) -> None:
    ((text,),) = rows(database, "SELECT link FROM usage_events WHERE item = 9")
    forged = rewritten(text, totalTokens="many")
    change(database, "UPDATE usage_events SET link = ? WHERE item = 9", forged)
    assert found(database) == "the event of row 9: it is not what was accepted"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('"totalTokens":', '"totalTokens":1', id="a sum"),
        pytest.param('"flushedAt":', '"flushedAt":1', id="a time"),
        pytest.param('"models":["', '"models":["x', id="a model"),
        pytest.param("{", "[", id="no JSON"),
    ],
)
async def test_what_was_told_of_a_batch_is_checked(database: str, old: str, new: str) -> None:
    change(
        database,
        "UPDATE event_batches SET told = replace(told, ?, ?) WHERE batch = 1",
        old,
        new,
    )
    ((batch_id,),) = rows(database, "SELECT batch_id FROM event_batches WHERE batch = 1")
    finding = "its events do not make what was told of it"
    assert found(database) == f"batch {batch_id}: {finding}"
    store = open_store(database)
    try:
        checked = await store.event_batch(batch_id)
    finally:
        store.close()
    assert checked is not None
    assert checked.finding == finding


async def test_a_batch_whose_events_changed_says_so_when_it_is_asked_for(database: str) -> None:
    ((batch_id,),) = rows(database, "SELECT batch_id FROM event_batches WHERE batch = 1")
    change(database, "UPDATE usage_events SET link = replace(link, 'gpt', 'gpu') WHERE item = 4")
    store = open_store(database)
    try:
        checked = await store.event_batch(batch_id)
    finally:
        store.close()
    assert checked is not None
    assert checked.batch.models == ("gpt",)
    assert checked.finding == "its event of row 4 is not what was accepted"
