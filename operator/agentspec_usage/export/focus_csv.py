"""FOCUS rows as CSV: RFC 4180, UTF-8, a header of column names; NULL is an empty field."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import IO

from agentspec_usage.export.cells import cell
from agentspec_usage.pricing.focus.columns import COLUMNS, ColumnType, FocusRow

__all__ = ["write_focus_csv"]


def write_focus_csv(parts: Iterable[Sequence[FocusRow]], out: IO[bytes]) -> None:
    """Write the rows of ``parts`` to ``out``, which stays open."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text)
        writer.writerow([column.name for column in COLUMNS])
        for part in parts:
            writer.writerows(map(_cells, part))
    finally:
        text.detach()


_VALUES = attrgetter(*(column.field for column in COLUMNS))


def _cells(row: FocusRow) -> list[str]:
    return [
        "" if value is None else show(value)
        for value, show in zip(_VALUES(row), _SHOWN, strict=True)
    ]


def _number(value: Decimal) -> str:
    """Without an exponent and without trailing zeros."""
    digits = f"{value:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


@lru_cache(maxsize=256)
def _moment(value: int) -> str:
    return datetime.fromtimestamp(value // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_BY_TYPE: dict[ColumnType, Callable[..., str]] = {
    ColumnType.STRING: cell,
    ColumnType.JSON: cell,
    ColumnType.DECIMAL: _number,
    ColumnType.INTEGER: str,
    ColumnType.DATETIME: _moment,
}
_SHOWN = tuple(_BY_TYPE[column.type] for column in COLUMNS)
