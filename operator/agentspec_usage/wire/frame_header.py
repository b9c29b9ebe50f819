"""What a sender must know of a frame that it sealed in an earlier life, read with the standard
library alone: agents read their own spool.

The bytes are what will be sent; of the items nothing is looked at, so a frame read here has none.
"""

from __future__ import annotations

from collections.abc import Mapping

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.records_encoding import FRAME_VERSION, MAX_RECORDS_BODY

__all__ = ["decode_counts", "decode_frame_header"]

_NAMES = {
    "input": "input",
    "output": "output",
    "cacheRead": "cache_read",
    "reasoning": "reasoning",
    "audioIn": "audio_in",
    "audioOut": "audio_out",
    "imageIn": "image_in",
    "imageOut": "image_out",
    "calls": "calls",
    "unmeteredCalls": "unmetered_calls",
}
_CACHE_WRITE = {
    "5m": "cache_write_5m",
    "30m": "cache_write_30m",
    "1h": "cache_write_1h",
    "12h": "cache_write_12h",
    "unspecified": "cache_write_unspecified",
}


def decode_frame_header(body: bytes) -> Frame:
    """The frame in ``body`` without its items. Raises ``WireError``."""
    fields = _object(strict_json.loads(body, max_bytes=MAX_RECORDS_BODY), "")
    if fields.get("v") != FRAME_VERSION:
        raise WireError("v", str(FRAME_VERSION))
    instance_id, observer = fields.get("instanceId"), fields.get("observer")
    if not isinstance(instance_id, str) or not isinstance(observer, str):
        raise WireError("instanceId", "an instance and its observer")
    try:
        observed_by = Observer(observer)
    except ValueError:
        raise WireError("observer", "an observer") from None
    return Frame(
        instance_id,
        observed_by,
        _count(fields, "since"),
        _count(fields, "last"),
        decode_counts(fields.get("totals"), "totals"),
        final=fields.get("final") is True,
        lost=fields.get("lost") is True,
    )


def decode_counts(value: object, path: str) -> TokenCounts:
    """The count vector that ``usage_encoding.encode_counts`` wrote. Raises ``WireError``."""
    fields = _object(value, path)
    written = _object(fields.get("cacheWrite", {}), f"{path}.cacheWrite")
    counts = {name: _count(fields, wire, 0) for wire, name in _NAMES.items()}
    counts |= {name: _count(written, wire, 0) for wire, name in _CACHE_WRITE.items()}
    return TokenCounts(**counts)


def _count(fields: Mapping[str, object], name: str, default: int | None = None) -> int:
    value = fields.get(name, default)
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise WireError(name, f"an integer from 0 to {MAX_COUNT}")
    return value


def _object(value: object, path: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise WireError(path, "an object")
    return value
