"""The schema that goes with a file of charges, as FOCUS's metadata says it.

A file has no place for it, so it is a document of its own that the file's reader is pointed to. Its
id is a hash of the columns: it changes when they do, and only then.
"""

from __future__ import annotations

import hashlib
import json

from agentspec_usage.pricing.focus.columns import (
    COLUMNS,
    DIGITS,
    FOCUS_VERSION,
    Column,
    ColumnType,
)

__all__ = ["PRECISION", "focus_schema"]

CREATED = "2026-11-22T00:00:00Z"
"""When the columns last changed."""

PRECISION = 38
"""Digits of a Decimal in all: the most that 128 bits hold."""


def focus_schema(version: str) -> dict[str, object]:
    """The schema, as the one of this program's ``version``."""
    columns = [_definition(column) for column in COLUMNS]
    digest = hashlib.sha256(json.dumps([FOCUS_VERSION, columns]).encode()).hexdigest()
    return {
        "SchemaId": f"agentspec-usage-{digest[:16]}",
        "FocusVersion": FOCUS_VERSION,
        "CreationDate": CREATED,
        "DataGenerator": "agentspec-usage",
        "DataGeneratorVersion": version,
        "ColumnDefinition": columns,
    }


def _definition(column: Column) -> dict[str, object]:
    definition: dict[str, object] = {"ColumnName": column.name, "DataType": str(column.type)}
    match column.type:
        case ColumnType.DECIMAL:
            definition |= {"NumericPrecision": PRECISION, "NumberScale": DIGITS}
        case ColumnType.STRING:
            definition["StringEncoding"] = "UTF-8"
    return definition
