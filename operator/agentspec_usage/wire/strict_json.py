"""One strict JSON decoder for everything that comes in.

A stranger wrote the body, so what Python's ``json`` forgives is refused here, before any model
looks at it: bytes that are not UTF-8, ``NaN`` and ``Infinity``, integers that another reader would
round (beyond 2^53 - 1), the same key twice (two readers would disagree about which one counts), and
documents that are deep, long or wide for their own sake.

Fractions are decoded, not refused: a body may carry a load average beside its counts, and unknown
fields are ignored. Where a count is expected the strict models refuse them by name.

The decoder is CPython's own, in C, with hooks; the hooks run once an integer and once an object.
Errors say a position and an expectation, never what stood there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import NoReturn

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_ITEMS", "MAX_STRING", "loads"]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_ITEMS = 16384
"""Members of one list or object: more than a row each fit into ``MAX_BYTES``."""
MAX_STRING = 16384
"""Characters of one string or key: the longest that a contract of ours names is 2 KiB."""

_MAX_DIGITS = len(str(-MAX_COUNT))


def loads(body: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> object:
    """The document in ``body``. Raises ``WireError`` for anything else."""
    if len(body) > max_bytes:
        raise WireError("", f"at most {max_bytes} bytes")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError("", f"UTF-8 (byte {error.start})") from None
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise WireError("", f"JSON (character {error.pos})") from None
    except RecursionError:
        raise WireError("", f"a depth of at most {max_depth}") from None
    _check_bounds(document, max_depth)
    return document


def _check_bounds(document: object, max_depth: int) -> None:
    """Walk the document level by level: its own depth cannot overflow the walk."""
    level: list[object] = [[document]]
    for _ in range(max_depth + 1):
        inner: list[object] = []
        for container in level:
            members = _members(container)
            if len(members) > MAX_ITEMS:
                raise WireError("", f"lists and objects of at most {MAX_ITEMS} members")
            for member in members:
                kind = type(member)
                if kind is dict or kind is list:
                    inner.append(member)
                elif isinstance(member, str) and len(member) > MAX_STRING:
                    raise WireError("", f"strings of at most {MAX_STRING} characters")
        if not inner:
            return
        level = inner
    raise WireError("", f"a depth of at most {max_depth}")


def _members(container: object) -> Collection[object]:
    if isinstance(container, dict):
        if max(map(len, container), default=0) > MAX_STRING:
            raise WireError("", f"keys of at most {MAX_STRING} characters")
        return container.values()
    return container if isinstance(container, list) else ()


def _integer(digits: str) -> int:
    # Looked at as text first: Python refuses, or takes quadratic time for, thousands of digits.
    if len(digits) <= _MAX_DIGITS:
        value = int(digits)
        if -MAX_COUNT <= value <= MAX_COUNT:
            return value
    raise WireError("", f"integers of at most {MAX_COUNT}")


def _fraction(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise WireError("", "numbers that a double can hold")
    return value


def _constant(_: str) -> NoReturn:
    raise WireError("", "JSON without NaN and Infinity")


def _object(members: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) != len(members):
        raise WireError("", "objects without repeated keys")
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_constant,
)
