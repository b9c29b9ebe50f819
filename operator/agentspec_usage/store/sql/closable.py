"""Whether a period may be closed already, and whether the first one may be this one.

In the minutes after a period's end usage of it is still under way: agents send again, spools are
emptied, the operator hands in what it read. All of that would be right as corrections of the next
period, and nobody wants to read them there. And what is older than the first period that is closed
is in no closed one for ever, which nobody should find out a year later.

Both are refusals with a way out: who closes knows more than a clock.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from agentspec_usage.metering.months import month_of
from agentspec_usage.metering.periods import Span
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.store.periods import ClosingRules, Period, PeriodError
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.provisional import tails_in

__all__ = ["check_closable"]


def check_closable(
    connection: Connection, period: Period, now: int, rules: ClosingRules, *, first: bool
) -> None:
    """Raises ``PeriodError`` where ``period`` cannot be closed at ``now`` (ms) by ``rules``.
    ``first`` is whether none was closed before."""
    name, end = f"{period.name} {period.zone}", period.span.end
    earliest = to_rfc3339(end + rules.grace)
    if now < end:
        raise PeriodError(
            f"{name} ends at {to_rfc3339(end)}: expected one that is over; it can be closed from "
            f"{earliest} on"
        )
    if now < end + rules.grace:
        raise PeriodError(
            f"{name} ended at {to_rfc3339(end)}, and usage of it may still be under way: expected "
            f'it to be closed from {earliest} on, or early on purpose ("early": true, --early)'
        )
    if first and not rules.begin:
        _check_beginning(connection, period)


def _check_beginning(connection: Connection, period: Period) -> None:
    oldest = _oldest_before(connection, period.span.start)
    if oldest is None:
        return
    month = month_of(oldest, _zone(period.zone))
    raise PeriodError(
        f"there is usage of {month} {period.zone}, before {period.name}, and no month is closed "
        f"yet: expected {month} to be closed first, and each month after it in its turn; or begin "
        f'with {period.name} on purpose ("begin": true, --begin): what is older then stays outside '
        "of every closed month"
    )


def _oldest_before(connection: Connection, start: int) -> int | None:
    """When the oldest usage before ``start`` (ms) was, charged or not; None where there is none."""
    found = []
    (item,) = connection.execute("SELECT min(at) FROM items WHERE at < ?", (start,)).fetchone()
    if item is not None:
        found.append(int(item))
    # Marks may be of usage that was delivered since, so they alone say nothing.
    (tails,) = tails_in(connection, [Span(0, start)])
    if tails:
        (mark,) = connection.execute(
            "SELECT min(bucket) FROM tail_marks WHERE series = 0"
        ).fetchone()
        found.append(int(mark))
    return min(found, default=None)


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
