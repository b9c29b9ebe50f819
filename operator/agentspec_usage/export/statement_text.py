"""A statement as people and programs read it: a table, CSV, JSON.

All three have the same lines in the same order, and say what the amounts are without: calls that
have no price, and calls that were priced by an assumption. They end with where the journal stood,
which whoever has a signed head of then can verify them by.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from agentspec_usage.errors import UsageError
from agentspec_usage.export.cells import cell
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.pricing.statement import Statement, Usage, statement

__all__ = ["BY_DEFAULT", "StatementFormat", "StatementOf", "statement_text"]

BY_DEFAULT = ("namespace", "agent", "model")

_COUNTS = ("calls", "input", "output", "tokens")
_NOTE = "note"


class StatementFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class StatementOf:
    """What a statement is of. ``closed_at`` is "" for a period that is open."""

    month: str
    zone: str
    ledger: str
    batch: int
    head: str
    closed_at: str = ""


def statement_text(
    of: StatementOf,
    usage: Sequence[Usage],
    dimensions: Sequence[str],
    by: Sequence[str],
    kind: StatementFormat,
    digits: int = 2,
) -> str:
    """The statement of ``usage``, whose accounts have ``dimensions``, a line for each of ``by``.

    What is no ordinary usage of the period (its note says what) is never added to what is. Raises
    ``UsageError`` for dimensions that there are none of.
    """
    known = [name for name in dimensions if name != _NOTE]
    if not by or not set(by) <= set(known) or len(set(by)) < len(by):
        raise UsageError(f"by {','.join(by)}: expected some of {', '.join(known)}")
    place_of_note = dimensions.index(_NOTE)
    noted = any(used.account[place_of_note] for used in usage)
    shown = (*by, _NOTE) if noted or kind is not StatementFormat.TABLE else tuple(by)
    places = [dimensions.index(name) for name in shown]
    made = statement(
        usage, lambda account: tuple(account[place] for place in places), digits=digits
    )
    match kind:
        case StatementFormat.CSV:
            return _csv(made, shown)
        case StatementFormat.JSON:
            return _json(of, made, shown)
        case StatementFormat.TABLE:
            return _table(of, made, shown)


def _counts(counts: TokenCounts) -> tuple[int, ...]:
    return counts.calls, counts.input, counts.output, counts.total


def _table(of: StatementOf, made: Statement, dimensions: Sequence[str]) -> str:
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
    lines = [f"Usage of {of.month} {of.zone}", ""]
    for row in rows:
        cells = [
            text.ljust(width)
            if place < len(dimensions) or place == len(row) - 1
            else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("   ".join(cells).rstrip())
    lines.append("")
    if made.unpriced:
        lines.append(
            f"{made.unpriced:,} calls have no price, or a part without one: not in the amounts"
        )
    if made.estimated:
        lines.append(f"{made.estimated:,} calls are priced by an assumption")
    state = f"Closed at {of.closed_at}" if of.closed_at else "Open: amounts may grow"
    lines.append(f"{state}. Ledger {of.ledger}, batch {of.batch}, head {of.head[:16]}")
    return "\n".join(lines) + "\n"


def _csv(made: Statement, dimensions: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*dimensions, *_COUNTS, "amount", "currency", "exact", "unpriced", "estimated"])
    for line in made.lines:
        writer.writerow(
            [
                *map(cell, line.account),
                *_counts(line.counts),
                *("" if line.amount is None else f"{line.amount:f}", line.currency),
                *("" if line.exact is None else line.exact, line.unpriced, line.estimated),
            ]
        )
    return text.getvalue()


def _json(of: StatementOf, made: Statement, dimensions: Sequence[str]) -> str:
    document = {
        "month": of.month,
        "zone": of.zone,
        "closedAt": of.closed_at or None,
        "journal": {"ledger": of.ledger, "batch": of.batch, "head": of.head},
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
    return json.dumps(document, indent=2) + "\n"
