"""Labels whose values strangers choose: the first ones are kept, the rest share a name.

Which they are is decided at first use and never changes, so a counter never moves from one label to
another.
"""

from __future__ import annotations

from agentspec_usage.metering.names import showable_name
from agentspec_usage.metering.series import OTHER_MODEL

__all__ = ["BoundedLabel"]


class BoundedLabel:
    """At most ``most`` values, and ``__other__``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._shown: dict[str, str] = {}

    def of(self, value: str) -> str:
        """The label that stands for ``value``."""
        shown = self._shown.get(value)
        if shown is None:
            if len(self._shown) >= self._most:
                return OTHER_MODEL
            shown = self._shown[value] = showable_name(value)
        return shown
