"""A Parquet file as its readers see it."""

from __future__ import annotations

import io
from typing import Any

from arro3.io import read_parquet

__all__ = ["rows_of_parquet"]


def rows_of_parquet(content: bytes) -> list[dict[str, Any]]:
    """The rows, with the values of their types."""
    table = read_parquet(io.BytesIO(content)).read_all()
    columns: list[list[Any]] = [list(table[name].to_pylist()) for name in table.schema.names]
    return [dict(zip(table.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
