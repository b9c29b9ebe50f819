"""Members of usage objects that have no meaning here yet: providers add some every month.

Their names are counted, so that an operator hears of a new one; their values are content of a
stranger and stay where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["MAX_UNKNOWN_FIELDS", "unknown_fields"]

MAX_UNKNOWN_FIELDS = 16
"""Names told of one usage object."""

_DEPTH = 3
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,47}")


def unknown_fields(usage: object, known: frozenset[str]) -> tuple[str, ...]:
    """The paths of members in ``usage`` that are not ``known``, each at most three names long.

    A member that is null says nothing, and a name that is none is told as ``?``: what comes from a
    stranger reaches a label.
    """
    if not isinstance(usage, dict):
        return ()
    found = dict.fromkeys(path for path in _paths(usage, "", _DEPTH) if path not in known)
    return tuple(sorted(found))[:MAX_UNKNOWN_FIELDS]


def _paths(members: dict[object, object], above: str, depth: int) -> Iterator[str]:
    for name, value in members.items():
        if value is None:
            continue
        shown = name if isinstance(name, str) and _NAME.fullmatch(name) else "?"
        path = f"{above}.{shown}" if above else shown
        if isinstance(value, dict) and depth > 1:
            yield from _paths(value, path, depth - 1)
        else:
            yield path
