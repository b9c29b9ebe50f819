"""``agentspec-usage statement`` and ``close``: what everybody used in a month and what it costs."""

from __future__ import annotations

import argparse
import asyncio
import sys

from agentspec_usage.cli.months import read_month, read_zone
from agentspec_usage.errors import MissingExtraError, SettingsError, UsageError
from agentspec_usage.metering.months import CLOSE_GRACE_HOURS
from agentspec_usage.runtime.clock import SystemClock, to_rfc3339

__all__ = ["register"]

_DATABASE = "the SQLite file, or a postgresql:// URL"

_LONGEST_GRACE = 744
"""A month: longer, and the next one could be closed as early as this one."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    parser = subparsers.add_parser(
        "statement",
        help="what each team, agent and model used in a month, and what it costs",
        description="Print a statement of a month from a usage database, also of a backup or "
        "beside a control plane that runs. Amounts are rounded once and sum to the total. Usage "
        "without a price has no amount and is counted below the table. A month that was closed is "
        "printed as it was written down then; what came late is a line of its own in the month "
        "that was open.",
    )
    _add_period(parser)
    parser.add_argument(
        "--by",
        default="namespace,agent,model",
        metavar="DIMENSIONS",
        help="one line for each of these, of namespace, cost-center, team, agent, model "
        "(default: namespace,agent,model)",
    )
    parser.add_argument("--namespace", default="", help="of this namespace alone")
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    parser.add_argument(
        "--digits", type=int, choices=range(13), default=2, metavar="N", help="after the point"
    )
    parser.add_argument(
        "--price-book",
        default="",
        metavar="FILE",
        help="prices for usage of an open month that was seen and not delivered yet",
    )
    parser.set_defaults(func=_print)
    close = subparsers.add_parser(
        "close",
        help="close a month: its statement never changes from then on",
        description="Close a month of a usage database whose control plane is stopped, or of a "
        "PostgreSQL server (a control plane that runs on SQLite closes a month itself: POST "
        "/api/v1/usage/periods). What was reported and never delivered is charged as an estimate, "
        "the statement is written down, and later usage of the month becomes a correction in the "
        "next one. Months are closed in their order.",
    )
    _add_period(close)
    close.add_argument("--price-book", default="", metavar="FILE", help="as the control plane's")
    close.add_argument(
        "--close-grace-hours",
        type=_hours,
        default=CLOSE_GRACE_HOURS,
        metavar="HOURS",
        help="after the month's end, before which it is closed only with --early (default: 24)",
    )
    close.add_argument(
        "--early",
        action="store_true",
        help="close it while usage of it may still be under way, which then is a correction",
    )
    close.add_argument(
        "--begin",
        action="store_true",
        help="close it as the first month although there is usage of earlier ones, which then "
        "stays outside of every closed month",
    )
    close.set_defaults(func=_close)


def _add_period(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", required=True, help=_DATABASE)
    parser.add_argument("--month", required=True, metavar="YYYY-MM", help="such as 2026-11")
    parser.add_argument("--zone", default="UTC", help="the zone whose month it is (default: UTC)")


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 <= hours <= _LONGEST_GRACE:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 to {_LONGEST_GRACE}")
    return hours


def _print(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.export.statement_text import (
            StatementFormat,
            StatementOf,
            statement_text,
        )
        from agentspec_usage.pricebook.opening import open_price_book
        from agentspec_usage.store.opening import reading
        from agentspec_usage.store.periods import DIMENSIONS
        from agentspec_usage.store.sql.periods import statement
    except ModuleNotFoundError as error:
        raise MissingExtraError("a statement", "controlplane") from error
    span = read_month(arguments.month, read_zone(arguments.zone))
    book = open_price_book(arguments.price_book)
    with reading(arguments.database) as connection:
        found = statement(connection, span, book, SystemClock().now(), arguments.namespace)
    closed = to_rfc3339(found.closed.closed_at) if found.closed else ""
    head = found.head
    try:
        text = statement_text(
            StatementOf(
                *(arguments.month, arguments.zone, found.ledger),
                *(head.batch, head.hash.hex(), closed),
            ),
            found.usage,
            DIMENSIONS,
            arguments.by.split(","),
            StatementFormat(arguments.format),
            arguments.digits,
        )
    except UsageError as error:
        raise SettingsError(f"--{error}") from error
    sys.stdout.write(text)
    return 0


def _close(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.pricebook.opening import open_price_book
        from agentspec_usage.store.opening import open_existing
        from agentspec_usage.store.periods import Period, closing_rules
    except ModuleNotFoundError as error:
        raise MissingExtraError("closing a month", "controlplane") from error
    span = read_month(arguments.month, read_zone(arguments.zone))
    period = Period(arguments.month, arguments.zone, span)
    hours = arguments.close_grace_hours
    rules = closing_rules(hours, early=arguments.early, begin=arguments.begin)
    store = open_existing(arguments.database, open_price_book(arguments.price_book))
    try:
        closed = asyncio.run(store.close_period(period, SystemClock().now(), rules))
    finally:
        store.close()
    print(
        f"{closed.period.name} {closed.period.zone} was closed at {to_rfc3339(closed.closed_at)}: "
        f"statement {closed.hash}, rows up to {closed.last_item}"
    )
    return 0
