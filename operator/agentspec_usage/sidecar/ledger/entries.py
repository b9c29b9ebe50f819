"""The entries of the ledger file: what happened, with the moment when it did, as bytes and back.

Nearly all are events of the pod's ledger. The others tell how far the calls got on their way out:
the frame that is sent next, whole, because it must be repeated byte for byte; what the receiver
answered; and where an instance begins.

An SDK's frame is kept as it was decoded and encoded again: canonical, and checked already.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import assert_never

from agentspec_usage.errors import AgentspecUsageError, WireError
from agentspec_usage.metering.frame import SealedFrame
from agentspec_usage.metering.pod_calls import Now
from agentspec_usage.metering.pod_ledger import (
    CallDropped,
    CallEnded,
    CallOpened,
    FrameCame,
    InstanceBegan,
    InstanceEnded,
    PodEvent,
    TimePassed,
    TotalsSeen,
)
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sidecar.ledger.values import (
    Json,
    list_of_key,
    list_of_record,
    list_of_snapshot,
    now_of,
    record_of,
    series_key_of,
    snapshot_of,
)
from agentspec_usage.wire.frame_header import decode_frame_header
from agentspec_usage.wire.records import decode_frame
from agentspec_usage.wire.records_encoding import encode_frame

__all__ = [
    "Acknowledged",
    "Began",
    "CallGivenUp",
    "CallPending",
    "EndedOnce",
    "Entry",
    "Happened",
    "LedgerFileError",
    "Opened",
    "Sealed",
    "decode_entry",
    "encode_entry",
]


class LedgerFileError(AgentspecUsageError):
    """What the file says cannot be read, though its checksum is right: another program's file."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the pod's ledger."""

    event: PodEvent
    now: Now


@dataclass(frozen=True, slots=True)
class Opened:
    """A call begins. ``series`` is what is known of it, should nobody learn more."""

    key: str
    call_id: str
    series: SeriesKey
    now: Now


@dataclass(frozen=True, slots=True)
class EndedOnce:
    """A call ended whose usage the provider shows again to whoever retrieves the response."""

    key: str
    record: UsageRecord
    now: Now


@dataclass(frozen=True, slots=True)
class Began:
    """An instance begins; ``forwarded`` if its calls are to be sent somewhere."""

    instance_id: str
    now: Now
    forwarded: bool


@dataclass(frozen=True, slots=True)
class CallPending:
    """The open call ``key`` goes on at the provider; its usage shows with this response id."""

    key: str
    response_id: tuple[str, str]
    now: Now


@dataclass(frozen=True, slots=True)
class CallGivenUp:
    """Nobody retrieved the usage that a pending call waited for."""

    response_id: tuple[str, str]
    record: UsageRecord
    now: Now


@dataclass(frozen=True, slots=True)
class Sealed:
    """A frame as it is sent from now on."""

    sealed: SealedFrame


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The receiver has the instance's calls up to ``durable``, and its end if ``final``."""

    instance_id: str
    durable: int
    final: bool


Entry = Happened | Opened | EndedOnce | Began | CallPending | CallGivenUp | Sealed | Acknowledged


def encode_entry(entry: Entry) -> bytes:
    match entry:
        case Happened(event, now):
            return _dump([*_list_of_event(event), *now])
        case Opened(key, call_id, series, now):
            return _dump(["open", key, call_id, list_of_key(series), *now])
        case EndedOnce(key, record, now):
            return _dump(["once", key, list_of_record(record), *now])
        case Began(instance_id, now, forwarded):
            return _dump(["begin", instance_id, int(forwarded), *now])
        case CallPending(key, (provider, response_id), now):
            return _dump(["pending", key, provider, response_id, *now])
        case CallGivenUp((provider, response_id), record, now):
            return _dump(["unretrieved", provider, response_id, list_of_record(record), *now])
        case Sealed(sealed):
            return b'["sealed"]' + sealed.body
        case Acknowledged(instance_id, durable, final):
            return _dump(["ack", instance_id, durable, int(final)])
    assert_never(entry)


def _list_of_event(event: PodEvent) -> list[Json]:
    match event:
        case CallOpened(key, call_id):
            return ["opened", key, call_id]
        case CallEnded(key, record):
            return ["end", key, list_of_record(record)]
        case CallDropped(key):
            return ["drop", key]
        case FrameCame(frame, digest):
            return ["frame", encode_frame(frame).decode("ascii"), digest]
        case TotalsSeen(snapshot):
            return ["totals", list_of_snapshot(snapshot)]
        case TimePassed():
            return ["time"]
        case InstanceEnded():
            return ["over"]
        case InstanceBegan():
            return ["anew"]
    assert_never(event)


def decode_entry(body: bytes) -> Entry:
    """Raises ``LedgerFileError``."""
    try:
        if body.startswith(b'["sealed"]'):
            frame = body.removeprefix(b'["sealed"]')
            return Sealed(SealedFrame(decode_frame_header(frame), frame))
        return _entry_of(json.loads(body))
    except (ValueError, TypeError, IndexError, KeyError, WireError) as error:
        raise LedgerFileError(f"entry {body[:16]!r}…: expected one of this program's") from error


def _entry_of(value: Json) -> Entry:
    kind, *rest = value
    match kind:
        case "open":
            key, call_id, series, steady, wall = rest
            return Opened(key, call_id, series_key_of(series), Now(steady, wall))
        case "once":
            key, record, steady, wall = rest
            return EndedOnce(key, record_of(record), Now(steady, wall))
        case "begin":
            instance_id, forwarded, steady, wall = rest
            return Began(instance_id, Now(steady, wall), bool(forwarded))
        case "pending":
            key, provider, response_id, steady, wall = rest
            return CallPending(key, (provider, response_id), Now(steady, wall))
        case "unretrieved":
            provider, response_id, record, steady, wall = rest
            return CallGivenUp((provider, response_id), record_of(record), Now(steady, wall))
        case "ack":
            instance_id, durable, final = rest
            return Acknowledged(instance_id, durable, bool(final))
    return Happened(_event_of(kind, rest[:-2]), now_of(rest[-2:]))


def _event_of(kind: Json, fields: list[Json]) -> PodEvent:
    match kind, fields:
        case "opened", [key, call_id]:
            return CallOpened(key, call_id)
        case "end", [key, record]:
            return CallEnded(key, record_of(record))
        case "drop", [key]:
            return CallDropped(key)
        case "frame", [frame, digest]:
            return FrameCame(decode_frame(frame.encode("ascii")), digest)
        case "totals", [snapshot]:
            return TotalsSeen(snapshot_of(snapshot))
        case "time", []:
            return TimePassed()
        case "over", []:
            return InstanceEnded()
        case "anew", []:
            return InstanceBegan()
    raise ValueError(kind)


def _dump(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
