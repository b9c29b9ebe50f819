"""Statuses, keys and somebody who may patch statuses: what is believed was written by an operator.

Operators come one after the other, each with keys of its own choosing, and are killed before they
have written everything. The notes, the seals and what the Lease remembers are the shipped ones. The
truth is kept beside them: who wrote each status last, and since when keys have been in use without
a gap. Within such a *reign* no operator may believe what another hand wrote, and none may disown
what an operator wrote, whatever became of the keys in between.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agentspec_usage.controller.notes import Notes
from agentspec_usage.controller.sealing_since import sealing_since
from agentspec_usage.metering.checkpoint import Checkpoint, new_checkpoint
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.tally import Tally
from agentspec_usage.wire.writer_state import pack
from agentspec_usage.wire.writer_state_seal import SealKey, SealKeys, parted, sealed
from tests.fakes.kube import FakeLeases
from tests.simulation.laws import hold

__all__ = ["SealMachine"]

KEYS = tuple(SealKey.of(letter * 32) for letter in "abc")
OWN = SealKey.of("x" * 32)
"""A key that whoever edits made up."""


@dataclass(slots=True)
class Status:
    """One object's notes. ``counted`` is what operators counted; ``forged_in`` the reign in which
    another hand wrote last, None when that was an operator.
    """

    uid: str
    version: int
    text: str
    counted: Checkpoint
    forged_in: int | None = None
    written: set[str] = field(default_factory=set)


class SealMachine(RuleBasedStateMachine):
    """Two objects are enough: one to copy from."""

    @initialize()
    def begin(self) -> None:
        self.version = 10
        self.leases = FakeLeases()
        lease = {"metadata": {"name": "lead"}, "spec": {"holderIdentity": "a"}}
        asyncio.run(self.leases.create_lease("ns", lease))
        self.reign = self.since = 0
        self.keys: SealKeys | None = None
        self.notes = Notes()
        self.statuses: list[Status] = []
        for number in (1, 2):
            counted = replace(new_checkpoint("e"), retired=Tally(TokenCounts(input=number)))
            status = Status(f"uid-{number}", 0, "", counted)
            self.statuses.append(status)
            self.write(status)

    def write(self, status: Status) -> None:
        self.version += 1
        status.counted, status.text = self.notes.write(status.counted, status.uid)
        status.version, status.forged_in = self.version, None
        status.written.add(status.text)

    def forge(self, status: Status, text: str) -> None:
        # To put old notes of the object itself back is what no seal can tell.
        if text not in status.written:
            self.version += 1
            status.version, status.text, status.forged_in = self.version, text, self.reign

    @rule(
        current=st.sampled_from([None, *KEYS]),
        previous=st.sampled_from([None, *KEYS]),
        writes=st.booleans(),
    )
    def another_operator_leads(
        self, current: SealKey | None, previous: SealKey | None, writes: bool
    ) -> None:
        keys = SealKeys(current, previous) if current is not None else None
        if keys is None or self.keys is None or keys.named(self.keys.current.id) is None:
            self.reign += 1
        elif not all(self.sealed_within(status, keys) for status in self.statuses):
            return  # the previous key may only be dropped when nothing bears its seal any more
        self.keys = keys
        self.since = asyncio.run(
            sealing_since(keys, self.leases, "ns", "lead", highest_version=self.highest)
        )
        self.notes = Notes(keys, self.since)
        for status in self.statuses:
            self.read(status, writes=writes)

    def sealed_within(self, status: Status, keys: SealKeys) -> bool:
        """Whether an operator with ``keys`` can tell who wrote, if it was an operator."""
        _, seal = parted(status.text)
        ours = seal is not None and seal.key_id in {key.id for key in KEYS}
        return (
            status.forged_in is not None
            or status.version <= self.since
            or not ours
            or bool(seal is not None and keys.named(seal.key_id))
        )

    async def highest(self) -> int:
        return max(status.version for status in self.statuses)

    def read(self, status: Status, *, writes: bool) -> None:
        found = self.notes.read(status.text, status.uid, status.version)
        if status.forged_in is None:
            hold("I7", found == status.counted, f"{status.uid}: disowned what an operator wrote")
        elif self.keys is not None and status.forged_in == self.reign:
            hold("I14", found is None, f"{status.uid}: believed what another hand wrote")
        else:
            # From when nothing was sealed, or by a key that is lost: taken as it is, or not.
            status.counted = found or status.counted
        if found is None:
            status.counted = new_checkpoint("anew")
            self.write(status)
        elif writes and self.notes.outdated(status.text):
            self.write(status)

    @rule(number=st.integers(0, 1), tokens=st.integers(1, 9))
    def operator_counts(self, number: int, tokens: int) -> None:
        status = self.statuses[number]
        if status.forged_in != self.reign:
            more = status.counted.retired + Tally(TokenCounts(input=tokens))
            status.counted = replace(status.counted, retired=more)
            self.write(status)

    @rule(
        number=st.integers(0, 1),
        tokens=st.integers(100, 109),
        seal=st.sampled_from(["none", "the one there", "by a key of one's own"]),
    )
    def somebody_makes_numbers_up(self, number: int, tokens: int, seal: str) -> None:
        status = self.statuses[number]
        forged = replace(new_checkpoint("e"), retired=Tally(TokenCounts(input=tokens)))
        notes = pack(forged)[1]
        there = status.text[len(parted(status.text)[0]) :]
        self.forge(
            status,
            {
                "none": notes,
                "the one there": notes + there,
                "by a key of one's own": sealed(notes, status.uid, OWN),
            }[seal],
        )

    @rule(number=st.integers(0, 1))
    def somebody_copies_the_other_objects_notes(self, number: int) -> None:
        self.forge(self.statuses[number], self.statuses[1 - number].text)

    @precondition(lambda self: any(status.forged_in is None for status in self.statuses))
    @rule(number=st.integers(0, 1))
    def somebody_strips_the_seal(self, number: int) -> None:
        """The numbers are right, and yet nobody vouches for them."""
        status = self.statuses[number]
        self.forge(status, parted(status.text)[0])
