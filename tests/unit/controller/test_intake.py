"""How objects come in: in any order, repeated, late, and by several ways."""

from __future__ import annotations

from typing import Any

import pytest

from agentspec_usage.controller.costs import Costs
from agentspec_usage.controller.intake import Intake
from agentspec_usage.controller.notes import Notes
from agentspec_usage.controller.register import Register
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from tests.fakes.hand_clock import HandClock


class Slots:
    """A ``Schedule`` that remembers."""

    def __init__(self) -> None:
        self.intervals: dict[str, float] = {}
        self.triggered: list[str] = []

    def add(self, uid: str, namespace: str, interval: float) -> None:
        self.intervals[uid] = interval

    def update(self, uid: str, interval: float) -> None:
        self.intervals[uid] = interval

    def remove(self, uid: str) -> None:
        del self.intervals[uid]

    def trigger(self, uid: str) -> None:
        self.triggered.append(uid)


class Desk:
    def __init__(self) -> None:
        self.register = Register()
        self.slots = Slots()
        self.dropped: list[str] = []
        self.intake = Intake(
            register=self.register,
            schedule=self.slots,
            clock=HandClock(),
            costs=Costs(bundled_catalogue()),
            notes=Notes(),
            new_epoch=lambda: "e1",
            pods_of=lambda _: (),
            on_dropped=self.dropped.append,
        )


def body(version: int = 5, uid: str = "u1", generation: int = 1, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "uid": uid,
            "namespace": "team",
            "name": "bot",
            "resourceVersion": str(version),
            "generation": generation,
            "creationTimestamp": "2026-11-01T08:00:00Z",
        },
        "spec": {"agentRef": {"name": "bot"}, **spec},
    }


def test_a_new_object_is_scheduled_at_its_interval_and_looked_at_at_once() -> None:
    desk = Desk()
    record = desk.intake.take(body(checkInterval=45))
    assert record is not None
    assert desk.slots.intervals == {"u1": 45.0}
    assert desk.slots.triggered == ["u1"]


@pytest.mark.parametrize("version", [4, 5], ids=["older", "equal"])
def test_what_is_no_newer_brings_nothing(version: int) -> None:
    desk = Desk()
    desk.intake.take(body(5))
    assert desk.intake.take(body(version, generation=9, suspend=True)) is None
    (record,) = desk.register
    assert record.generation == 1


def test_an_echo_is_the_version_that_is_held_and_no_other() -> None:
    desk = Desk()
    desk.intake.take(body(5))
    assert desk.intake.is_echo("u1", "5")
    assert not desk.intake.is_echo("u1", "6")
    assert not desk.intake.is_echo("u2", "5")


def test_an_object_recreated_under_its_name_replaces_the_old_one() -> None:
    desk = Desk()
    desk.intake.take(body(5))
    desk.intake.take(body(9, uid="u2"))
    assert [record.uid for record in desk.register] == ["u2"]
    assert desk.dropped == ["u1"]
    assert desk.intake.take(body(7)) is None, "a late word of the one before"


@pytest.mark.parametrize(
    ("source", "warnings"),
    [pytest.param("sidecar", 1, id="ours"), pytest.param("control-plane", 0, id="another's")],
)
def test_numbers_without_notes_were_edited_unless_the_control_plane_keeps_them(
    source: str, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    usage = {"accountingEpoch": "e", "totalTokens": 7}
    Desk().intake.take(body(source=source) | {"status": {"usage": usage}})
    said = [record for record in caplog.records if "changed by somebody" in record.getMessage()]
    assert len(said) == warnings


def test_a_spec_that_does_not_fit_is_kept_with_its_reason_and_healed_by_the_next() -> None:
    desk = Desk()
    record = desk.intake.take(body(5, checkInterval=1))
    assert record is not None
    assert record.spec is None
    assert record.spec_error == "spec.checkInterval: expected greater than or equal to 5"
    healed = desk.intake.take(body(6, generation=2, checkInterval=60))
    assert healed is record
    assert healed.spec_error == ""
    assert desk.slots.intervals == {"u1": 60.0}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        pytest.param({"usagePort": 8080}, True, id="another port"),
        pytest.param({"checkInterval": 60}, True, id="another interval"),
        pytest.param({"agentRef": {"name": "other"}}, False, id="another agent"),
        pytest.param({"podSelector": {"matchLabels": {"a": "b"}}}, False, id="a selector"),
    ],
)
def test_what_was_found_is_kept_until_the_spec_says_other_pods(
    change: dict[str, Any], kept: bool
) -> None:
    desk = Desk()
    first = body(5)
    first["status"] = {
        "observedGeneration": 1,
        "target": {"kind": "Deployment", "name": "bot", "selector": "app=bot"},
    }
    record = desk.intake.take(first)
    assert record is not None
    assert record.resolution is not None
    desk.intake.take(body(6, generation=2, **change))
    assert (record.resolution is not None) is kept


def test_what_an_older_generation_found_is_not_taken_from_the_status() -> None:
    desk = Desk()
    changed = body(5, generation=2)
    changed["status"] = {
        "observedGeneration": 1,
        "target": {"kind": "Deployment", "name": "bot", "selector": "app=bot"},
    }
    record = desk.intake.take(changed)
    assert record is not None
    assert record.resolution is None


def test_a_dropped_object_leaves_nothing_behind() -> None:
    desk = Desk()
    desk.intake.take(body())
    desk.intake.drop("u1")
    desk.intake.drop("u1")
    assert len(desk.register) == 0
    assert desk.slots.intervals == {}
    assert desk.dropped == ["u1"]
