"""What a receiver of frames answers, both ways, with the standard library alone: agents read it.

    200 or 202 {durable: [{instanceId, seq}], gaps: [{instanceId, have}]}     to POST /usage/records
    200 {durable: seq, records: path}                                         to POST /heartbeat

An answer releases records, so it is read as strictly as anything else: what does not fit is no
answer, and the sender repeats itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.wire import strict_json

__all__ = [
    "HeartbeatAnswer",
    "RecordsAnswer",
    "decode_heartbeat_answer",
    "decode_records_answer",
    "encode_heartbeat_answer",
    "encode_records_answer",
]

_INSTANCE_ID = re.compile("[0-9a-f]{32}")
_PATH = re.compile("/[A-Za-z0-9._~/-]{0,127}")


@dataclass(frozen=True, slots=True)
class RecordsAnswer:
    """By instance: up to which seq its calls are durable, and where a frame left a gap."""

    durable: Mapping[str, int] = field(default_factory=dict)
    gaps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """Where the receiver stands, and where it takes frames."""

    durable: int
    records: str


def encode_records_answer(answer: RecordsAnswer) -> bytes:
    durable = [{"instanceId": key, "seq": seq} for key, seq in answer.durable.items()]
    gaps = [{"instanceId": key, "have": have} for key, have in answer.gaps.items()]
    return _dump({"durable": durable, "gaps": gaps})


def decode_records_answer(body: bytes) -> RecordsAnswer:
    """Raises ``WireError`` for anything that is not such an answer."""
    document = _object(strict_json.loads(body), "")
    return RecordsAnswer(
        _by_instance(document.get("durable", []), "durable", "seq"),
        _by_instance(document.get("gaps", []), "gaps", "have"),
    )


def encode_heartbeat_answer(answer: HeartbeatAnswer) -> bytes:
    return _dump({"durable": answer.durable, "records": answer.records})


def decode_heartbeat_answer(body: bytes) -> HeartbeatAnswer:
    """Raises ``WireError`` for anything that is not such an answer."""
    document = _object(strict_json.loads(body), "")
    records = document.get("records")
    if not isinstance(records, str) or not _PATH.fullmatch(records) or "//" in records:
        raise WireError("records", "a path")
    return HeartbeatAnswer(_seq(document.get("durable"), "durable"), records)


def _by_instance(value: object, path: str, number: str) -> dict[str, int]:
    if not isinstance(value, list):
        raise WireError(path, "a list")
    found: dict[str, int] = {}
    for position, entry in enumerate(value):
        where = f"{path}[{position}]"
        fields = _object(entry, where)
        instance_id = fields.get("instanceId")
        if not isinstance(instance_id, str) or not _INSTANCE_ID.fullmatch(instance_id):
            raise WireError(f"{where}.instanceId", "32 lower-case hex digits")
        if instance_id in found:
            raise WireError(f"{where}.instanceId", "an instance that was not named before")
        found[instance_id] = _seq(fields.get(number), f"{where}.{number}")
    return found


def _object(value: object, path: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise WireError(path, "an object")
    return value


def _seq(value: object, path: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise WireError(path, f"an integer from 0 to {MAX_COUNT}")
    return value


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
