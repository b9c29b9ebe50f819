"""``agentspec-usage reprice``: price a month again, by other prices than it was charged by."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from agentspec_usage.cli.months import read_month, read_zone
from agentspec_usage.errors import MissingExtraError
from agentspec_usage.runtime.clock import SystemClock

if TYPE_CHECKING:
    from agentspec_usage.store.queries import UsageFilter
    from agentspec_usage.store.sql.store import SqlStore

__all__ = ["register"]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "reprice",
        help="price a month again, by other prices than it was charged by",
        description="Price the stored usage of a month again. Where another amount comes out, the "
        "old charge is taken back by an entry of its own and a new one is added; in a month that "
        "was closed both are corrections in the open one. The same prices change nothing, so it "
        "can be interrupted and begun again. The database must be a PostgreSQL server, or a file "
        "whose control plane is stopped (one that runs on SQLite does it itself: POST "
        "/api/v1/usage/reprice).",
    )
    parser.add_argument("--database", required=True, help="the SQLite file, or a postgresql:// URL")
    parser.add_argument("--month", required=True, metavar="YYYY-MM", help="such as 2026-11")
    parser.add_argument("--zone", default="UTC", help="the zone whose month it is (default: UTC)")
    parser.add_argument("--namespace", default="", help="of this namespace alone")
    parser.add_argument("--model", default="", help="of this model alone")
    parser.add_argument(
        "--price-book",
        default="",
        metavar="FILE",
        help="prices that come before the bundled catalogue's",
    )
    parser.add_argument("--dry-run", action="store_true", help="tell what would change")
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.pricebook.opening import open_price_book
        from agentspec_usage.store.opening import open_existing
        from agentspec_usage.store.queries import UsageFilter
    except ModuleNotFoundError as error:
        raise MissingExtraError("pricing again", "controlplane") from error
    span = read_month(arguments.month, read_zone(arguments.zone))
    asked = UsageFilter(span, namespace=arguments.namespace, model=arguments.model)
    store = open_existing(arguments.database, open_price_book(arguments.price_book))
    try:
        asyncio.run(_reprice(store, asked, dry=arguments.dry_run))
    finally:
        store.close()
    return 0


async def _reprice(store: SqlStore, asked: UsageFilter, *, dry: bool) -> None:
    seen = changed = 0
    differences: dict[str, int] = {}
    after = None
    while True:
        found = await store.reprice(asked, SystemClock().now(), after=after, dry=dry)
        seen, changed, after = seen + found.seen, changed + found.changed, found.next
        for money in found.differences:
            differences[money.currency] = differences.get(money.currency, 0) + money.pico
        if sys.stderr.isatty():
            print(f"\r{seen} items, {changed} changed", end="", file=sys.stderr, flush=True)
        if after is None:
            break
    said = "would change" if dry else "changed"
    print(f"{seen} items, {changed} {said}")
    for currency, pico in sorted(differences.items()):
        print(f"{_money(pico, currency)} {currency}")


def _money(pico: int, currency: str) -> str:
    from agentspec_usage.pricing.money import Money

    sign = "+" if pico > 0 else ""
    return f"{sign}{Money(pico, currency)}"
