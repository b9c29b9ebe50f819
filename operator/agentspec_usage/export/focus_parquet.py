"""FOCUS rows as Parquet: typed, so that no reader guesses; decimals are decimals.

Arrow's Rust crates write it, through arro3: a fifth of the size of pyarrow. It is an extra of its
own, imported when somebody asks for this format. A part of the rows is a batch; a million rows are
a row group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import IO, TYPE_CHECKING

from agentspec_usage.errors import AgentspecUsageError, MissingExtraError
from agentspec_usage.export.focus_schema import PRECISION
from agentspec_usage.pricing.focus.columns import (
    COLUMNS,
    DIGITS,
    FOCUS_VERSION,
    Column,
    ColumnType,
    FocusRow,
)

if TYPE_CHECKING:
    from arro3.core import Array, DataType, RecordBatch, Schema

__all__ = ["write_focus_parquet"]

_ROW_GROUP = 1_000_000


def write_focus_parquet(parts: Iterable[Sequence[FocusRow]], out: IO[bytes]) -> None:
    """Write the rows of ``parts`` to ``out``, which stays open.

    Raises ``MissingExtraError`` without the extra ``parquet``.
    """
    try:
        from arro3.core import RecordBatchReader
        from arro3.io import write_parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    schema = _schema()
    batches = _Batches(parts, schema)
    try:
        write_parquet(
            RecordBatchReader.from_batches(schema, batches),
            out,
            compression="zstd(3)",
            max_row_group_size=_ROW_GROUP,
            created_by="agentspec-usage",
        )
    finally:
        if batches.error is not None:
            raise batches.error


def _schema() -> Schema:
    from arro3.core import Field, Schema

    fields = [Field(each.name, _type(each.type), nullable=each.nullable) for each in COLUMNS]
    return Schema(fields, metadata={"FocusVersion": FOCUS_VERSION})


class _Batches:
    """The parts as batches. What the source of the parts raises would come back from Rust as a text
    in a plain ``Exception``: ``error`` keeps it as it was.
    """

    def __init__(self, parts: Iterable[Sequence[FocusRow]], schema: Schema) -> None:
        self._parts = parts
        self._schema = schema
        self.error: AgentspecUsageError | None = None

    def __iter__(self) -> Iterator[RecordBatch]:
        from arro3.core import RecordBatch

        try:
            for part in self._parts:
                if part:
                    arrays = [_array(part, each) for each in COLUMNS]
                    yield RecordBatch.from_arrays(arrays, schema=self._schema)
        except AgentspecUsageError as error:
            self.error = error
            raise


def _array(part: Sequence[FocusRow], column: Column) -> Array:
    """A column of the rows. Decimals and times are cast: there is no constructor of them."""
    from arro3.core import Array, DataType

    values = list(map(attrgetter(column.field), part))
    if column.type is ColumnType.DECIMAL:
        texts = [None if value is None else f"{value:f}" for value in values]
        return Array(texts, DataType.utf8()).cast(_type(column.type))
    if column.type is ColumnType.DATETIME:
        return Array(values, DataType.int64()).cast(_type(column.type))
    return Array(values, _type(column.type))


def _type(type_: ColumnType) -> DataType:
    from arro3.core import DataType

    types: dict[ColumnType, Callable[[], DataType]] = {
        ColumnType.STRING: DataType.utf8,
        ColumnType.JSON: DataType.utf8,
        ColumnType.DECIMAL: lambda: DataType.decimal128(PRECISION, DIGITS),
        ColumnType.INTEGER: DataType.int64,
        ColumnType.DATETIME: lambda: DataType.timestamp("ms", tz="UTC"),
    }
    return types[type_]()
