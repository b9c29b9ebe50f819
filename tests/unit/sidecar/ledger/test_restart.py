"""A ledger that is killed at any byte of its file is, when it is opened again, the ledger that saw
what the file has: nothing more, nothing less, and the same to the last number."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.pod_ledger import (
    CallDropped,
    InstanceEnded,
    TimePassed,
    TotalsSeen,
)
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sidecar.ledger.account import Account
from agentspec_usage.sidecar.ledger.entries import (
    Began,
    CallGivenUp,
    CallPending,
    EndedOnce,
    Entry,
    Happened,
)
from agentspec_usage.sidecar.ledger.file import LedgerFile
from agentspec_usage.sidecar.ledger.keeper import replayed
from agentspec_usage.sidecar.ledger.state import encode_state
from agentspec_usage.wire.records_encoding import encode_frame
from tests.fakes.hand_clock import HandClock
from tests.unit.metering.readings import numbered_id
from tests.unit.metering.readings import snapshot as totals_of
from tests.unit.sidecar.ledger.keepers import (
    SERIES,
    ending,
    frame_of,
    known_to,
    numbering,
    opened,
    opening,
)

STEPS = st.sampled_from(
    [
        *("open", "open", "end", "end", "once", "drop", "pending", "unretrieved", "totals"),
        *("tells", "time", "long", "seal", "ack", "ends"),
    ]
)


RECORDS = st.builds(
    UsageRecord,
    seq=st.just(0),
    at=st.just(1_790_000_000_000),
    key=st.sampled_from(
        [SERIES, SeriesKey("anthropic", "claude", batch=True, context_class=32000)]
    ),
    counts=st.integers(0, 50).map(lambda used: TokenCounts(input=used, reasoning=used, calls=1)),
    status=st.sampled_from([CallStatus.OK, CallStatus.ABORTED]),
    call_id=st.sampled_from(["", "call-1", "call-2"]),
    response_id=st.sampled_from(["", "response-1", "response-2"]),
)


class Life:
    """One life of a ledger in ``directory``: what it knew at each size of its file."""

    def __init__(self, directory: Path, growth: int = 1 << 30) -> None:
        self.directory = directory
        self.clock = HandClock()
        self.keeper = opened(directory, self.clock, numbering(), growth=growth)
        self.keys: list[str] = []
        self.made = 0
        self.known: dict[int, list[bytes]] = {}
        self.remember()

    def remember(self) -> None:
        self.known[self.keeper.file_bytes] = known_to(self.keeper)

    def step(self, kind: str, record: UsageRecord, number: int) -> None:
        self.clock.pass_seconds(3600 if kind == "long" else 1)
        if kind == "seal":
            outbox = self.keeper.account.outbox
            if outbox is not None:
                outbox.to_send()
        elif kind == "ack":
            self.acknowledge()
        else:
            entry = self.entry(kind, record, number)
            if entry is not None:
                self.keeper.write(entry)
        self.remember()

    def acknowledge(self) -> None:
        for outbox in list(self.keeper.account.outboxes.values()):
            sealed = outbox.to_send()
            self.remember()
            if sealed is not None:
                outbox.acknowledged(sealed, sealed.frame.last)
                self.keeper.note_acknowledged()
                self.remember()

    def entry(self, kind: str, record: UsageRecord, number: int) -> Entry | None:
        keeper, now = self.keeper, self.keeper.now()
        response = ("openai", f"response-{number}")
        if kind == "open":
            self.made += 1
            self.keys.append(f"key-{self.made}")
            return opening(keeper, self.keys[-1], record.call_id)
        if kind == "tells":
            sender = numbered_id(100 + number % 2)
            seq = keeper.account.pod.sender(sender).seq
            return frame_of(keeper, sender, *_numbered(seq, record, number))
        if kind == "totals":
            return Happened(TotalsSeen(totals_of(numbered_id(200 + number), number * 10)), now)
        if kind == "unretrieved" and response in keeper.account.pending:
            return CallGivenUp(response, record, now)
        if kind == "ends":
            self.made += 1
            if keeper.account.ended:
                return Began(numbered_id(300 + self.made), now, forwarded=True)
            return Happened(InstanceEnded(), now)
        if kind in ("time", "long", "unretrieved") or not self.keys:
            return Happened(TimePassed(), now)
        key = self.keys.pop(number % len(self.keys))
        match kind:
            case "once":
                return EndedOnce(key, record, now)
            case "drop":
                return Happened(CallDropped(key), now)
            case "pending":
                return CallPending(key, response, now)
        return ending(keeper, key, record)


def _numbered(seq: int, record: UsageRecord, number: int) -> list[UsageRecord]:
    return [replace(record, seq=seq + 1 + index) for index in range(number % 3)]


def read(content: bytes) -> Account:
    with TemporaryDirectory() as directory:
        (Path(directory) / "ledger").write_bytes(content)
        file = LedgerFile(Path(directory), "boot-1")
        try:
            lines = file.open()
        finally:
            file.close()
        assert lines.doubt == ""
        return replayed(lines.lines, encode_frame)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    steps=st.lists(st.tuples(STEPS, RECORDS, st.integers(0, 5)), min_size=3, max_size=15),
    cuts=st.lists(st.floats(0, 1), max_size=12),
)
def test_a_ledger_killed_at_any_byte_is_the_ledger_that_saw_what_the_file_has(
    steps: list[tuple[str, UsageRecord, int]], cuts: list[float]
) -> None:
    with TemporaryDirectory() as directory:
        life = Life(Path(directory))
        begun = life.keeper.file_bytes
        for kind, record, number in steps:
            life.step(kind, record, number)
        content = (Path(directory) / "ledger").read_bytes()
        life.keeper.close()
    sizes = {begun + int(cut * (len(content) - begun)) for cut in cuts}
    for size in sorted({*life.known, *sizes}):
        account = read(content[:size])
        saw = max(known for known in life.known if known <= size)
        assert list(encode_state(account.state())) == life.known[saw], size


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(
    steps=st.lists(
        st.tuples(STEPS | st.just("anew"), RECORDS, st.integers(0, 5)), min_size=3, max_size=20
    )
)
def test_a_file_that_was_written_anew_on_the_way_says_the_same(
    steps: list[tuple[str, UsageRecord, int]],
) -> None:
    with TemporaryDirectory() as directory:
        life = Life(Path(directory), growth=0)
        for kind, record, number in steps:
            if kind == "anew":
                asyncio.run(life.keeper.tick())
            else:
                life.step(kind, record, number)
        known = known_to(life.keeper)
        content = (Path(directory) / "ledger").read_bytes()
        life.keeper.close()
    assert list(encode_state(read(content).state())) == known
