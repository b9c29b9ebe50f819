"""The account as a value, and as lines of the ledger file that stand in place of all earlier ones.

One line a call, a report, a record: so the lines can be made piece by piece beside a running
program, and no line is long. The last line says that the state is whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from agentspec_usage.errors import WireError
from agentspec_usage.metering.frame import SealedFrame
from agentspec_usage.metering.outbox_state import BlockState, BufferState, OutboxState
from agentspec_usage.metering.pod_calls import ProxiedCall
from agentspec_usage.metering.pod_state import NEW_POD, CallsState, PodState
from agentspec_usage.metering.receiving import FrameMark, Watermark
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot
from agentspec_usage.sidecar.ledger.entries import LedgerFileError
from agentspec_usage.sidecar.ledger.values import (
    Json,
    aggregate_of,
    counts_of,
    list_of_aggregate,
    list_of_counts,
    list_of_key,
    list_of_record,
    list_of_snapshot,
    now_of,
    record_of,
    series_key_of,
    snapshot_of,
)
from agentspec_usage.wire.frame_header import decode_frame_header

__all__ = ["AccountState", "Waiting", "decode_state", "encode_state"]


class Waiting(NamedTuple):
    """The open call ``key`` waits, since then by the steady clock (ms), for its usage."""

    key: str
    since: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """See ``account``. ``rows`` are the series of this instance; ``seen`` names usage that the
    provider shows again (``SeenResponses.entries``).
    """

    instance_id: str = ""
    started_at: int = 0
    forwarded: bool = False
    ended: bool = False
    pod: PodState = NEW_POD
    rows: tuple[SeriesRow, ...] = ()
    opened: dict[str, SeriesKey] = field(default_factory=dict)
    pending: dict[tuple[str, str], Waiting] = field(default_factory=dict)
    seen: tuple[tuple[bytes, int], ...] = ()
    others: tuple[UsageSnapshot, ...] = ()
    outboxes: tuple[OutboxState, ...] = ()


def encode_state(state: AccountState) -> Iterator[bytes]:
    """The lines, to be read by ``decode_state``."""
    pod = state.pod
    yield _dump(
        "account",
        [state.instance_id, state.started_at, int(state.forwarded), int(state.ended)],
    )
    yield _dump(
        "pod",
        [
            pod.calls.clock,
            pod.calls.swept,
            pod.calls.horizon,
            list_of_counts(pod.entered),
            pod.seq,
            list_of_counts(pod.before),
            list_of_counts(pod.entered_before),
            pod.seq_before,
            pod.unjoined,
            pod.upper,
        ],
    )
    for call in pod.calls.calls:
        yield _dump("call", _list_of_call(call))
    for report in pod.listed:
        yield _dump("listed", list_of_record(report))
    for sender, mark in pod.senders.items():
        yield _dump("sender", [sender, *_list_of_watermark(mark)])
    for other, counts in pod.others.items():
        yield _dump("other", [other, list_of_counts(counts)])
    for row in state.rows:
        yield _dump("row", [list_of_key(row.key), list_of_counts(row.counts)])
    for key, series in state.opened.items():
        yield _dump("opened", [key, list_of_key(series)])
    for (provider, response_id), waiting in state.pending.items():
        yield _dump("pending", [provider, response_id, *waiting])
    for name, at in state.seen:
        yield _dump("seen", [name.hex(), at])
    for snapshot in state.others:
        yield _dump("shown", list_of_snapshot(snapshot))
    for outbox in state.outboxes:
        yield from _lines_of_outbox(outbox)
    yield _dump("whole", [])


def decode_state(lines: Iterable[bytes]) -> AccountState:
    """The state up to the line that says it is whole. Raises ``LedgerFileError``."""
    found: dict[str, list[Json]] = {}
    outboxes: list[OutboxState] = []
    try:
        for line in lines:
            kind, _, text = line.partition(b"\t")
            match kind:
                case b"whole":
                    return _state_of(found, outboxes)
                case b"outbox":
                    outboxes.append(_outbox_of(text, found))
                case b"sealed":
                    found.setdefault("sealed", []).append(
                        SealedFrame(decode_frame_header(text), text)
                    )
                case _:
                    found.setdefault(kind.decode("ascii"), []).append(json.loads(text))
    except (ValueError, TypeError, IndexError, KeyError, WireError) as error:
        raise LedgerFileError("state: expected lines of this program's") from error
    raise LedgerFileError("state: expected to its end")


def _state_of(found: dict[str, list[Json]], outboxes: list[OutboxState]) -> AccountState:
    (instance_id, started_at, forwarded, ended) = found["account"][0]
    clock, swept, horizon, entered, seq, before, entered_before, seq_before, unjoined, upper = (
        found["pod"][0]
    )
    pod = PodState(
        CallsState(
            tuple(_call_of(value) for value in found.get("call", ())),
            None if clock is None else now_of(clock),
            swept,
            horizon,
        ),
        tuple(record_of(value) for value in found.get("listed", ())),
        counts_of(entered),
        seq,
        counts_of(before),
        counts_of(entered_before),
        seq_before,
        {sender: _watermark_of(mark) for sender, *mark in found.get("sender", ())},
        {other: counts_of(counts) for other, counts in found.get("other", ())},
        unjoined,
        upper,
    )
    return AccountState(
        instance_id,
        started_at,
        bool(forwarded),
        bool(ended),
        pod,
        tuple(
            SeriesRow(series_key_of(key), counts_of(counts)) for key, counts in found.get("row", ())
        ),
        {key: series_key_of(series) for key, series in found.get("opened", ())},
        {(provider, name): Waiting(*one) for provider, name, *one in found.get("pending", ())},
        tuple((bytes.fromhex(name), at) for name, at in found.get("seen", ())),
        tuple(snapshot_of(value) for value in found.get("shown", ())),
        tuple(outboxes),
    )


def _list_of_call(call: ProxiedCall) -> Json:
    record = 0 if call.record is None else list_of_record(call.record)
    return [call.key, call.call_id, record, call.ended, int(call.entered), int(call.matched)]


def _call_of(value: Json) -> ProxiedCall:
    key, call_id, record, ended, entered, matched = value
    return ProxiedCall(
        key,
        call_id,
        record_of(record) if record else None,
        None if ended is None else now_of(ended),
        bool(entered),
        bool(matched),
    )


def _list_of_watermark(mark: Watermark) -> Json:
    newest = mark.newest
    of_newest = 0 if newest is None else [newest.since, newest.last, newest.digest]
    return [mark.seq, list_of_counts(mark.totals), int(mark.final), of_newest]


def _watermark_of(value: Json) -> Watermark:
    seq, totals, final, newest = value
    return Watermark(seq, counts_of(totals), bool(final), FrameMark(*newest) if newest else None)


def _lines_of_outbox(outbox: OutboxState) -> Iterator[bytes]:
    """Its parts come first, and its own line gathers them."""
    for sealed in outbox.sealed:
        yield b"sealed\t" + sealed.body
    for block in outbox.buffer.blocks:
        aggregates = [list_of_aggregate(one) for one in block.aggregates]
        yield _dump("block", [block.last, int(block.coarse), aggregates])
    for record in outbox.buffer.records:
        yield _dump("unsent", list_of_record(record))
    yield _dump(
        "outbox",
        [
            outbox.instance_id,
            str(outbox.observer),
            outbox.durable,
            list_of_counts(outbox.durable_totals),
            outbox.buffer.since,
            list_of_counts(outbox.buffer.totals_since),
            outbox.buffer.last,
            outbox.buffer.merged,
            int(outbox.finishing),
            int(outbox.final_is_durable),
            int(outbox.rolled_back),
        ],
    )


def _outbox_of(text: bytes, found: dict[str, list[Json]]) -> OutboxState:
    (
        instance_id,
        observer,
        durable,
        durable_totals,
        since,
        totals_since,
        last,
        merged,
        finishing,
        final_is_durable,
        rolled_back,
    ) = json.loads(text)
    blocks = tuple(
        BlockState(end, bool(coarse), tuple(aggregate_of(one) for one in aggregates))
        for end, coarse, aggregates in found.pop("block", ())
    )
    records = tuple(record_of(value) for value in found.pop("unsent", ()))
    return OutboxState(
        instance_id,
        Observer(observer),
        durable,
        counts_of(durable_totals),
        tuple(found.pop("sealed", ())),
        BufferState(since, counts_of(totals_since), last, merged, blocks, records),
        bool(finishing),
        bool(final_is_durable),
        bool(rolled_back),
    )


def _dump(kind: str, value: Json) -> bytes:
    return f"{kind}\t{json.dumps(value, separators=(',', ':'))}".encode("ascii")
