"""Closing a period, and reading what was written down of it.

In one transaction the tail is charged up to the period's end, the statement's lines are added up
and written down, and everything that is stored from then on belongs to later periods (``items``).
The lines say with which batch of the journal they were made, and the next batch has no rows and
says what was written down: so whoever has a signed head of after it can prove the lines, and that
just these periods were closed.
"""

from __future__ import annotations

from agentspec_usage.metering.periods import Span
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.store.periods import (
    WHEN_OVER,
    ClosedPeriod,
    ClosingRules,
    Period,
    PeriodError,
    PeriodStatement,
)
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.charging import Charging
from agentspec_usage.store.sql.closable import check_closable
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import Dictionaries
from agentspec_usage.store.sql.items import NewItems
from agentspec_usage.store.sql.journal import head_of, ledger_of, link_closing
from agentspec_usage.store.sql.statements import charged_usage, provisional_usage
from agentspec_usage.store.sql.tail import bill_tail
from agentspec_usage.store.sql.written_periods import (
    WrittenPeriod,
    period_hash,
    read_statement,
    statement_text,
    write_period,
    written_period,
    written_periods,
)

__all__ = ["close_period", "closed_periods", "statement"]


def close_period(
    connection: Connection,
    dictionaries: Dictionaries,
    charging: Charging,
    period: Period,
    now: int,
    rules: ClosingRules = WHEN_OVER,
) -> ClosedPeriod:
    """Close ``period``, inside the transaction that is open. One that is closed stays as it is."""
    closed = closed_periods(connection)
    span = period.span
    for known in closed:
        if known.period.span == span:
            return known
    if closed and span.start != closed[-1].period.span.end:
        raise PeriodError(
            f"{period.name} {period.zone} begins at {to_rfc3339(span.start)}: expected the period "
            f"that begins at {to_rfc3339(closed[-1].period.span.end)}, where the last closed one "
            "ends"
        )
    check_closable(connection, period, now, rules, first=not closed)
    new = NewItems(connection, dictionaries, charging, now)
    bill_tail(connection, new, span.end)
    new.write()
    head = head_of(connection)
    text = statement_text(charged_usage(connection, UsageFilter(span)), head)
    made = ClosedPeriod(period, now, head.last, period_hash(period, now, text))
    write_period(connection, WrittenPeriod(made, text))
    link_closing(connection, made.hash, now)
    return made


def closed_periods(connection: Connection) -> list[ClosedPeriod]:
    """Those that were closed, in their order."""
    return [written.closed for written in written_periods(connection)]


def statement(
    connection: Connection,
    span: Span,
    book: PriceBook,
    now: int,
    namespace: str = "",
    agent_id: str = "",
) -> PeriodStatement:
    """What a statement of ``span`` is made of: as it was written down, where it was closed."""
    ledger, _ = ledger_of(connection)
    known = written_period(connection, span)
    if known is not None and not agent_id:
        usage, head = read_statement(known.statement)
        chosen = [used for used in usage if namespace in ("", used.account[0])]
        return PeriodStatement(chosen, ledger, head, known.closed)
    asked = UsageFilter(span, namespace, agent_id)
    usage = charged_usage(connection, asked)
    if not agent_id:
        usage += provisional_usage(connection, span, book, now, namespace)
    closed = None if known is None else known.closed
    return PeriodStatement(usage, ledger, head_of(connection), closed)
