"""A stored item as bytes: the same bytes for the same facts, on every machine and for ever.

The form is JSON as RFC 8785 canonicalises it, of an object with ASCII keys whose values are
strings, whole numbers and null: keys sorted, no space, shortest escapes. Everything that a number
means is in it by name (the agent, the instance, the whole price context), so that an edit of a name
elsewhere in the database shows as well.

What can be erased on its own (whom a call was made for) is in it as a hash over its own salt.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256

from agentspec_usage.metering.counts import COMPONENTS

__all__ = [
    "DETAIL_COLUMNS",
    "ROW_COLUMNS",
    "RowEncoder",
    "Value",
    "canonical",
    "details_hash",
    "leaf_hash",
]

Value = str | int | None

ROW_COLUMNS: tuple[str, ...] = (
    *("item", "agent_id", "namespace", "name", "instance_id", "observer", "kind"),
    *("first_seq", "last_seq", "at", "claimed_at", "received_at"),
    *("provider", "model", "operation", "service_tier", "region", "batch", "context_class"),
    *("status", "coarse", "requests"),
    *COMPONENTS,
)
"""What a row is made of, in the order in which it is handed in."""

DETAIL_COLUMNS: tuple[str, ...] = (
    *("request_model", "call_id", "response_id", "duration_ms", "ttft_ms"),
    *("user", "session", "run", "parent_run", "team", "labels", "raw"),
)

_NUMBERS = frozenset(
    {"item", "first_seq", "last_seq", "at", "received_at", "batch", "context_class", "coarse"}
    | set(COMPONENTS)
)

_MAX_TEXTS = 16_384

_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False
).encode


def canonical(values: dict[str, Value]) -> bytes:
    """RFC 8785, for ASCII keys and values that are strings, whole numbers up to 2^53 and null."""
    return _encode(values).encode()


class RowEncoder:
    """Rows as canonical bytes. The few strings that come again and again are encoded once."""

    def __init__(self) -> None:
        order = sorted(range(len(ROW_COLUMNS)), key=ROW_COLUMNS.__getitem__)
        # One template instead of a dictionary a row: a third of the time.
        members = (
            f'"{ROW_COLUMNS[place]}":%{"d" if ROW_COLUMNS[place] in _NUMBERS else "s"}'
            for place in order
        )
        self._template = "{" + ",".join(members) + "}"
        self._order = tuple(order)
        self._texts: dict[Value, str] = {None: _encode(None)}
        self._strings = [
            place for place, column in enumerate(ROW_COLUMNS) if column not in _NUMBERS
        ]

    def encode(self, row: Sequence[Value]) -> bytes:
        """The bytes of ``row``, whose values stand in the order of ``ROW_COLUMNS``."""
        values = list(row)
        texts = self._texts
        for place in self._strings:
            value = values[place]
            text = texts.get(value)
            values[place] = self._text(value) if text is None else text
        return (self._template % tuple([values[place] for place in self._order])).encode()

    def _text(self, value: Value) -> str:
        text = _encode(value)
        if isinstance(value, str):
            if len(self._texts) >= _MAX_TEXTS:
                self._texts = {None: _encode(None)}
            self._texts[value] = text
        return text


def details_hash(details: Sequence[Value], salt: bytes) -> bytes:
    """What stays of details that are erased: without the salt it says nothing of them."""
    return sha256(salt + canonical(dict(zip(DETAIL_COLUMNS, details, strict=True)))).digest()


def leaf_hash(row: bytes, salt: bytes, details: bytes) -> bytes:
    """RFC 6962's leaf of a row; ``details`` is the hash of its details, empty without any."""
    return sha256(b"\0" + salt + details + row).digest()
