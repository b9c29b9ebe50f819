"""``agentspec-usage statement``: what each team, agent and model used in a month, and its price."""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agentspec_usage.errors import MissingExtraError, SettingsError
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.periods import Span

if TYPE_CHECKING:
    from agentspec_usage.pricing.statement import Statement

__all__ = ["month_span", "register"]

DIMENSIONS = ("namespace", "agent", "model")

_MONTH = re.compile(r"(\d{4})-(\d{2})")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "statement",
        help="what each team, agent and model used in a month, and what it costs",
        description="Print a statement of a month from a usage database, also of a backup or "
        "beside a control plane that runs. Amounts are rounded once and sum to the total. Usage "
        "without a price has no amount and is counted below the table.",
    )
    parser.add_argument("--database", type=Path, required=True, help="the SQLite file")
    parser.add_argument("--month", required=True, metavar="YYYY-MM", help="such as 2026-11")
    parser.add_argument("--zone", default="UTC", help="the zone whose month it is (default: UTC)")
    parser.add_argument(
        "--by",
        default=",".join(DIMENSIONS),
        metavar="DIMENSIONS",
        help=f"one line for each of these, of {', '.join(DIMENSIONS)} (default: all three)",
    )
    parser.add_argument("--namespace", default="", help="of this namespace alone")
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    parser.add_argument(
        "--digits", type=int, choices=range(13), default=2, metavar="N", help="after the point"
    )
    parser.set_defaults(func=_run)


def month_span(month: str, zone: tzinfo) -> Span:
    """The month in the zone. Raises ``SettingsError`` for what is no month."""
    found = _MONTH.fullmatch(month)
    try:
        if found is None:
            raise ValueError(month)
        first = date(int(found[1]), int(found[2]), 1)
        following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return Span(_midnight(first, zone), _midnight(following, zone))
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"--month {month}: expected a month such as 2026-11") from error


def _midnight(day: date, zone: tzinfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000


def _run(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.pricing.statement import statement
        from agentspec_usage.store.queries import UsageFilter
        from agentspec_usage.store.sqlite.lines import read_lines
    except ModuleNotFoundError as error:
        raise MissingExtraError("a statement", "controlplane") from error
    chosen = _dimensions(arguments.by)
    span = month_span(arguments.month, _zone(arguments.zone))
    asked = UsageFilter(span, namespace=arguments.namespace)
    places = [DIMENSIONS.index(name) for name in chosen]
    made = statement(
        read_lines(arguments.database, asked),
        lambda account: tuple(account[place] for place in places),
        arguments.digits,
    )
    match arguments.format:
        case "csv":
            _write_csv(made, chosen)
        case "json":
            _write_json(made, chosen, arguments.month, arguments.zone)
        case _:
            _write_table(made, chosen, f"{arguments.month} {arguments.zone}")
    return 0


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise SettingsError(f"--zone {name}: expected a time zone such as Asia/Kolkata") from error


def _dimensions(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= set(DIMENSIONS) or len(set(names)) < len(names):
        raise SettingsError(f"--by {text}: expected some of {', '.join(DIMENSIONS)}")
    return names


_COUNTS = ("calls", "input", "output", "tokens")


def _counts(counts: TokenCounts) -> tuple[int, ...]:
    return counts.calls, counts.input, counts.output, counts.total


def _write_table(made: Statement, dimensions: Sequence[str], title: str) -> None:
    rows = [[*(name.upper() for name in (*dimensions, *_COUNTS)), "COST", ""]]
    rows += [
        [
            *line.account,
            *(f"{count:,}" for count in _counts(line.counts)),
            "-" if line.amount is None else f"{line.amount:,f}",
            line.currency + ("?" if line.unpriced and line.amount is not None else ""),
        ]
        for line in made.lines
    ]
    totals = [(f"{total:,f}", currency) for currency, total in made.totals.items()] or [("-", "")]
    blank = [""] * (len(dimensions) - 1)
    rows.append(["TOTAL", *blank, *(f"{count:,}" for count in _counts(made.counts)), *totals[0]])
    rows += [["", *blank, *[""] * len(_COUNTS), *total] for total in totals[1:]]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    print(f"Usage of {title}\n")
    for row in rows:
        cells = [
            cell.ljust(width)
            if place < len(dimensions) or place == len(row) - 1
            else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("   ".join(cells).rstrip())
    if made.unpriced:
        print(f"\n{made.unpriced:,} calls have no price, or a part without one: not in the amounts")
    if made.estimated:
        print(f"\n{made.estimated:,} calls are priced by an assumption")


def _write_csv(made: Statement, dimensions: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*dimensions, *_COUNTS, "amount", "currency", "exact", "unpriced", "estimated"])
    for line in made.lines:
        writer.writerow(
            [
                *line.account,
                *_counts(line.counts),
                *("" if line.amount is None else f"{line.amount:f}", line.currency),
                *("" if line.exact is None else line.exact, line.unpriced, line.estimated),
            ]
        )


def _write_json(made: Statement, dimensions: Sequence[str], month: str, zone: str) -> None:
    document = {
        "month": month,
        "zone": zone,
        "lines": [
            {
                **dict(zip(dimensions, line.account, strict=True)),
                **dict(zip(_COUNTS, _counts(line.counts), strict=True)),
                "amount": None if line.amount is None else f"{line.amount:f}",
                "currency": line.currency or None,
                "exact": None if line.exact is None else str(line.exact),
                "unpriced": line.unpriced,
                "estimated": line.estimated,
            }
            for line in made.lines
        ],
        "totals": {currency: f"{total:f}" for currency, total in made.totals.items()},
        **dict(zip(_COUNTS, _counts(made.counts), strict=True)),
        "unpriced": made.unpriced,
        "estimated": made.estimated,
    }
    json.dump(document, sys.stdout, indent=2)
    print()
