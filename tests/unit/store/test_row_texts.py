"""A row has the same bytes wherever they are put together: here, and in either database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.store.opening import open_store, verify_database
from agentspec_usage.store.proof.rows import (
    DETAIL_COLUMNS,
    ROW_COLUMNS,
    Value,
    canonical,
    encode_details,
    encode_row,
)
from tests.unit.store.values import NOW, apply, frame, record, register

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.one_of(st.none(), st.integers(-(2**53), 2**53), texts)
names = st.text("abcdef0123456789", min_size=1, max_size=8)


@given(st.lists(values, min_size=len(DETAIL_COLUMNS), max_size=len(DETAIL_COLUMNS)))
def test_details_are_canonical_json(details: list[Value]) -> None:
    assert encode_details(details) == canonical(dict(zip(DETAIL_COLUMNS, details, strict=True)))


_WORDS = {"account", "instance", "series", "price", "kind", "status"}
_OPTIONAL = {"corrects", "claimed_at"}


def _value_of(column: str) -> st.SearchStrategy[Value]:
    if column in _WORDS:
        return names
    number = st.integers(-(2**53), 2**53)
    return st.one_of(st.none(), number) if column in _OPTIONAL else number


rows = st.fixed_dictionaries({name: _value_of(name) for name in ROW_COLUMNS if name != "requests"})


@given(rows)
def test_a_row_is_canonical_json(row: Mapping[str, Value]) -> None:
    whole = {**row, "requests": None}
    assert encode_row([whole[name] for name in ROW_COLUMNS]) == canonical(whole)


printable = st.text(st.characters(min_codepoint=32, exclude_categories=["C"]), max_size=12)
contexts = st.builds(
    CallContext,
    *(printable,) * 5,
    st.dictionaries(printable, printable, max_size=3).map(MappingProxyType),
)


@settings(max_examples=12)
@given(st.lists(st.tuples(contexts, texts, printable), min_size=1, max_size=4))
def test_whatever_a_call_says_its_row_verifies(
    new_database: Callable[[], str], said: Sequence[tuple[CallContext, str, str]]
) -> None:
    database = new_database()
    calls = [
        record(seq, context=context, raw=raw, call_id=call_id, duration_ms=seq)
        for seq, (context, raw, call_id) in enumerate(said, 1)
    ]
    asyncio.run(_store(database, calls))
    found = verify_database(database)
    assert (found.finding, found.rows) == (None, len(calls))


async def _store(database: str, calls: Sequence[UsageRecord]) -> None:
    store = open_store(database)
    try:
        totals = TokenCounts()
        for call in calls:
            totals += call.counts
        one = frame(0, len(calls), *calls, totals=totals)
        await apply(store, await register(store), one, now=NOW)
    finally:
        store.close()
