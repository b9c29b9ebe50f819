"""Whose numbers go on when a status is read back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentspec_usage.controller.adoption import Adopted, Known, adopt
from agentspec_usage.controller.notes import Notes
from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    PodIdentity,
    fold,
    new_checkpoint,
    observe,
    reasons,
    totals,
)
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.snapshot import UsageReading, UsageSnapshot
from agentspec_usage.status.usage import usage_numbers
from agentspec_usage.wire.writer_state import pack, unpack
from agentspec_usage.wire.writer_state_seal import SealKey, SealKeys, sealed

POD = PodIdentity("11111111-1111-4111-8111-111111111111", 1_000_000)
NOW = 2_000_000
UID = "uid-1"
KEY = SealKey.of("k" * 32)


def used(checkpoint: Checkpoint, tokens: int, instance: str = "a") -> Checkpoint:
    """``checkpoint`` after an instance of POD showed ``tokens``."""
    snapshot = UsageSnapshot(TokenCounts(input=tokens, calls=1), instance_id=instance * 32)
    return observe(checkpoint, POD, UsageReading((snapshot,)), NOW)


def status_of(checkpoint: Checkpoint, **changes: Any) -> dict[str, Any]:
    numbers = usage_numbers(totals(checkpoint))
    usage = {"accountingEpoch": checkpoint.epoch, **numbers, **changes}
    return {"writerState": pack(checkpoint)[1], "usage": usage}


def adopted(
    status: dict[str, Any],
    known: Known | None = None,
    pods: tuple[PodIdentity, ...] = (POD,),
    notes: Notes | None = None,
) -> Adopted:
    believing = notes or Notes()
    return adopt(
        status,
        known,
        read=lambda text: believing.read(text, UID, 7),
        pods=pods,
        now=NOW,
        new_epoch=lambda: "fresh",
    )


def knowing(status: dict[str, Any], checkpoint: Checkpoint, written: Checkpoint | None) -> Known:
    return Known(checkpoint, status.get("writerState", ""), status.get("usage", {}), written)


OLD = used(new_checkpoint("old"), 100)


def test_a_new_object_starts_a_new_epoch_and_wants_a_write() -> None:
    assert adopted({}) == Adopted(new_checkpoint("fresh"), None)


def test_after_a_restart_the_notes_go_on() -> None:
    found = adopted(status_of(OLD))
    assert totals(found.checkpoint).total == 100
    assert found.written == found.checkpoint
    assert found.tampered_epoch is None


@pytest.mark.parametrize(
    ("status", "total"),
    [
        pytest.param(status_of(OLD, totalTokens=999, inputTokens=999), 100, id="more tokens"),
        pytest.param(status_of(OLD, accountingEpoch="mine"), 100, id="another epoch"),
        pytest.param(status_of(OLD) | {"writerState": ""}, 0, id="notes removed"),
        pytest.param(status_of(OLD) | {"writerState": "AAAA"}, 0, id="notes damaged"),
        pytest.param({"writerState": "AAAA"}, 0, id="damaged notes alone"),
    ],
)
def test_an_edit_found_after_a_restart_opens_an_epoch_with_what_can_be_vouched_for(
    status: dict[str, Any], total: int
) -> None:
    found = adopted(status)
    assert found.checkpoint.epoch == "fresh"
    assert totals(found.checkpoint).total == total
    assert Reason.STATUS_TAMPERED in reasons(found.checkpoint)
    assert found.written is None
    assert found.tampered_epoch == status.get("usage", {}).get("accountingEpoch")


def test_after_lost_notes_what_existing_pods_used_so_far_is_not_counted_again() -> None:
    found = adopted(status_of(OLD) | {"writerState": ""})
    assert totals(used(found.checkpoint, 150)).total == 0
    assert totals(used(used(found.checkpoint, 150), 170)).total == 20


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(status_of(OLD, totalTokens=999, inputTokens=999), id="usage edited"),
        pytest.param(status_of(OLD) | {"writerState": "AAAA"}, id="notes edited"),
        pytest.param({}, id="all removed"),
    ],
)
def test_an_edit_under_a_running_operator_loses_nothing(status: dict[str, Any]) -> None:
    more = used(OLD, 130)
    found = adopted(status, knowing(status_of(OLD), more, OLD))
    assert found.checkpoint.epoch == "fresh"
    assert totals(found.checkpoint).total == 130


def test_an_edit_that_was_found_is_not_found_again() -> None:
    """Regression: each event before the repair was written opened another epoch."""
    status = status_of(OLD, totalTokens=999, inputTokens=999)
    first = adopted(status, knowing(status_of(OLD), OLD, OLD))
    again = adopted(status, knowing(status, first.checkpoint, first.written))
    assert again == Adopted(first.checkpoint, None)


def test_an_object_that_changes_between_its_first_scrape_and_its_first_write_was_not_edited() -> (
    None
):
    """Regression: its empty status was held against the tokens in memory."""
    counted = used(new_checkpoint("e1"), 100)
    assert adopted({}, knowing({}, counted, None)) == Adopted(counted, None)


def test_an_edit_of_rows_alone_leaves_the_count_as_it_is() -> None:
    status = status_of(OLD, models=[{"modelId": "forged"}])
    assert adopted(status, knowing(status_of(OLD), OLD, OLD)) == Adopted(OLD, OLD)


def test_another_operators_write_is_taken_and_what_this_one_saw_is_observed_in_it() -> None:
    theirs = used(OLD, 150)
    ours = used(used(OLD, 120), 7, "b")
    found = adopted(status_of(theirs), knowing(status_of(OLD), ours, OLD))
    assert found.foreign
    assert found.checkpoint.epoch == "old"
    assert totals(found.checkpoint).total == 157
    assert found.written is not None
    assert totals(found.written).total == 150


def test_what_another_operator_retired_is_not_added_again() -> None:
    theirs = fold(used(OLD, 150), [POD.uid])
    found = adopted(status_of(theirs), knowing(status_of(OLD), used(OLD, 120), OLD))
    assert totals(found.checkpoint).total == 150


def test_our_own_write_not_seen_before_is_judged_by_its_numbers() -> None:
    status = status_of(OLD, totalTokens=999, inputTokens=999)
    known = Known(OLD, status["writerState"], None, OLD)
    assert adopted(status, known).tampered_epoch == "old"
    assert adopted(status_of(OLD), known) == Adopted(OLD, OLD)


def test_the_notes_read_back_say_what_was_written() -> None:
    assert totals(unpack(status_of(replace(OLD, epoch="x"))["writerState"])).total == 100


def sealed_status(checkpoint: Checkpoint, uid: str = UID, **changes: Any) -> dict[str, Any]:
    status = status_of(checkpoint, **changes)
    return status | {"writerState": sealed(status["writerState"], uid, KEY)}


SEALING = Notes(SealKeys(KEY))


def test_after_a_restart_sealed_notes_go_on() -> None:
    found = adopted(sealed_status(OLD), notes=SEALING)
    assert found == Adopted(OLD, OLD)


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(status_of(used(OLD, 10**6)), id="whole, consistent, without a seal"),
        pytest.param(
            status_of(used(OLD, 10**6))
            | {"writerState": pack(used(OLD, 10**6))[1] + sealed_status(OLD)["writerState"][-53:]},
            id="with the seal of other notes",
        ),
        pytest.param(sealed_status(used(OLD, 10**6), "uid-2"), id="sealed for another object"),
    ],
)
def test_numbers_that_somebody_made_up_are_never_taken(status: dict[str, Any]) -> None:
    found = adopted(status, notes=SEALING)
    assert totals(found.checkpoint).total == 0
    assert Reason.STATUS_TAMPERED in reasons(found.checkpoint)
    assert found.tampered_epoch == "old"
    running = adopted(status, knowing(sealed_status(OLD), OLD, OLD), notes=SEALING)
    assert totals(running.checkpoint).total == 100
    assert running.tampered_epoch == "old"


def test_made_up_numbers_beside_sealed_notes_cost_the_epoch_and_nothing_else() -> None:
    found = adopted(sealed_status(OLD, totalTokens=999, inputTokens=999), notes=SEALING)
    assert (found.checkpoint.epoch, totals(found.checkpoint).total) == ("fresh", 100)


@pytest.mark.parametrize("field", [*usage_numbers(TokenCounts()), "accountingEpoch"])
def test_no_counter_of_the_usage_can_be_changed_alone(field: str) -> None:
    changed = sealed_status(OLD)
    value = changed["usage"][field]
    changed["usage"][field] = value + 1 if isinstance(value, int) else f"{value}x"
    assert adopted(changed, notes=SEALING).tampered_epoch is not None


def test_an_old_status_put_back_under_a_running_operator_is_found() -> None:
    """Its seal fits; but within an epoch no operator writes less than stood there."""
    more = used(OLD, 150)
    found = adopted(sealed_status(OLD), knowing(sealed_status(more), more, more), notes=SEALING)
    assert found.tampered_epoch == "old"
    assert totals(found.checkpoint).total == 150
