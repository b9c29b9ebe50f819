"""Reading a provider's document, which nobody checked: JSON, or a provider SDK's own objects.

A field that is absent or null is unknown. What is there and is not what was expected is refused
with a WireError that names its path, never its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT

__all__ = ["count", "field", "items", "known", "text", "units", "whole"]


def field(value: object, *path: str) -> object:
    """What stands at ``path`` in a mapping or an object; None where something is missing."""
    for name in path:
        if type(value) is dict:  # nearly always, and asking an abstract class costs ten times more
            value = value.get(name)
        elif value is None:
            return None
        elif isinstance(value, Mapping):
            value = value.get(name)
        else:
            value = getattr(value, name, None)
    return value


def text(value: object, *path: str) -> str:
    """The string at ``path``; "" where there is none."""
    found = field(value, *path)
    return found if isinstance(found, str) else ""


def items(value: object, *path: str) -> list[object]:
    """The list at ``path``; empty where there is none."""
    found = field(value, *path)
    return found if isinstance(found, list) else []


def count(value: object, *path: str) -> int | None:
    """The count at ``path``. Anything else there makes the call unmetered: WireError."""
    found = field(value, *path)
    if found is None:
        return None
    if type(found) is not int or not 0 <= found <= MAX_COUNT:
        raise WireError(".".join(path), f"a whole number from 0 to {MAX_COUNT}")
    return found


def whole(value: object, *path: str) -> int | None:
    """The count at ``path`` of a provider that writes its counts as floats (``10.0``)."""
    found = field(value, *path)
    if type(found) is float and found.is_integer():
        found = int(found)
    return count({path[-1]: found}, path[-1])


def units(value: object, *path: str) -> int:
    """A number of units that are charged apart from tokens, rounded up; 0 where there is none.

    Seconds come with fractions, and some providers write an empty object for "none".
    """
    found = field(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return 0
    return ceil(found) if 0 < found <= MAX_COUNT else 0


def known(number: int | None) -> int:
    """``number``, or 0 where it is unknown: for parts, whose absence says that there are none."""
    return 0 if number is None else number
