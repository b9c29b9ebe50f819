"""What the model of a disk keeps, loses and garbles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from tests.simulation.power_loss_disk import (
    SECTOR,
    Created,
    Deleted,
    Disk,
    Event,
    Fate,
    Outcome,
    Synced,
    Truncated,
    Written,
)

KEPT, LOST, GARBLED = Outcome.KEPT, Outcome.LOST, Outcome.GARBLED
WAL = "db-wal"
MADE = (Created(WAL), Synced(WAL, directory=True))


def always(outcome: Outcome) -> Fate:
    return lambda _: outcome


def in_turn(*outcomes: Outcome) -> Fate:
    left = iter(outcomes)
    return lambda _: next(left)


def left(events: Iterable[Event], fate: Fate) -> Mapping[str, bytes]:
    disk = Disk()
    for event in events:
        disk.happened(event)
    return disk.after_power_loss(fate)


@pytest.mark.parametrize("outcome", Outcome)
def test_what_was_synced_is_there(outcome: Outcome) -> None:
    events = (*MADE, Written(WAL, 0, b"abc"), Truncated(WAL, 2), Synced(WAL, directory=False))
    assert left(events, always(outcome)) == {WAL: b"ab"}


@pytest.mark.parametrize(
    ("fate", "content"),
    [
        pytest.param(always(KEPT), b"new", id="kept"),
        pytest.param(always(LOST), b"old", id="lost"),
        pytest.param(always(GARBLED), bytes(byte ^ 0xA5 for byte in b"new"), id="garbled"),
    ],
)
def test_what_was_written_since_is_there_or_not_or_something_else(
    fate: Fate, content: bytes
) -> None:
    old = (Written(WAL, 0, b"old"), Synced(WAL, directory=False))
    assert left((*MADE, *old, Written(WAL, 0, b"new")), fate) == {WAL: content}


def test_a_write_is_torn_where_sectors_end_and_in_any_order() -> None:
    data = b"a" * 12 + b"b" * SECTOR + b"c"
    torn = left((*MADE, Written(WAL, SECTOR - 12, data)), in_turn(LOST, LOST, KEPT, LOST, LOST))
    assert torn == {WAL: bytes(SECTOR) + b"b" * SECTOR}


def test_a_file_may_have_its_size_and_not_what_was_written() -> None:
    assert left((*MADE, Written(WAL, 0, b"abc")), in_turn(LOST, KEPT)) == {WAL: bytes(3)}


def test_a_later_write_may_be_there_without_an_earlier_one() -> None:
    events = (*MADE, Written(WAL, 0, b"ab"), Written(WAL, 0, b"x"), Truncated(WAL, 1))
    assert left(events, in_turn(LOST, LOST, KEPT, LOST)) == {WAL: b"x"}


def test_a_new_file_is_certain_once_its_directory_is_synced() -> None:
    events = (Created(WAL), Written(WAL, 0, b"abc"))
    assert left(events, always(LOST)) == {}
    assert left((*events, Synced(WAL, directory=False)), always(LOST)) == {}
    assert left((*events, Synced(WAL, directory=True)), always(LOST)) == {WAL: b"abc"}


def test_names_change_in_order() -> None:
    events = (*MADE, Created("a"), Deleted(WAL, synced=False))
    assert left(events, in_turn(LOST)) == {WAL: b""}
    assert left(events, in_turn(KEPT, LOST)) == {WAL: b"", "a": b""}
    assert left(events, in_turn(KEPT, KEPT)) == {"a": b""}
    assert left((*events[:-1], Deleted(WAL, synced=True)), always(LOST)) == {"a": b""}


def test_a_deleted_file_that_is_back_is_as_it_was() -> None:
    events = (*MADE, Written(WAL, 0, b"old"), Synced(WAL, directory=False))
    again = (Deleted(WAL, synced=False), Created(WAL), Written(WAL, 0, b"new"))
    assert left((*events, *again), in_turn(LOST)) == {WAL: b"old"}
    assert left((*events, *again), in_turn(KEPT, KEPT, LOST, LOST)) == {WAL: b""}
