"""When something was used, as far as the clock of whoever says so can be believed.

Late delivery is honest and is the rule after an outage, so a time in the past is taken as it is;
but not any time. A machine whose battery is empty, or a VM before its first NTP step, begins in
1970, and usage that is dated there is in no month that anybody closes, at no price that was in
force. So both ends have a bound, and a time beyond one is a wrong clock.

The two bounds differ in what they leave. Ahead is bounded where honest clocks end; so far back that
nothing true is known of the time, the one moment that is known is that of the arrival.
"""

from __future__ import annotations

from agentspec_usage.metering.periods import DAY_MS

__all__ = ["MAX_AHEAD_MS", "MAX_BEHIND_MS", "believed"]

MAX_AHEAD_MS = 5 * 60 * 1000
"""How far a time may be ahead of the receiver's clock: what clocks differ by that nobody sets."""

MAX_BEHIND_MS = 100 * DAY_MS
"""How long delivery may take: an agent that was off for a whole quarter, at most 92 days, and its
spool that is sent in the week after. Clocks that are wrong are years behind, not months."""


def believed(claimed: int, received: int) -> int:
    """When that was used (ms), of which it is said at ``received`` that it was at ``claimed``.

    A time that is believed already is its own answer.
    """
    if claimed < received - MAX_BEHIND_MS:
        return received
    return min(claimed, received + MAX_AHEAD_MS)
