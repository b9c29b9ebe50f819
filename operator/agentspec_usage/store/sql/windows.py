"""The windows of sources without instance ids, as they are stored: one text for each source.

Nobody sums them in SQL. What they add up to is told like the totals of an instance, and the text is
only what the next reading is joined with.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import astuple
from typing import Any

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.level import Level
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.window_levels import WindowLevels
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.levels import one_of

__all__ = ["keep_windows", "windows_of"]

_KEEP = """
    INSERT INTO source_windows (instance, windows) VALUES (?, ?)
    ON CONFLICT (instance) DO UPDATE SET windows = excluded.windows"""


def windows_of(
    connection: Connection, instances: Collection[int]
) -> dict[int, WindowLevels[SeriesKey]]:
    """What is known of these sources; one of which nothing is known is not in it."""
    rows = connection.execute(
        f"SELECT instance, windows FROM source_windows WHERE instance {one_of(instances)}",
        (*instances,),
    )
    return {instance: _windows(json.loads(text)) for instance, text in rows}


def keep_windows(connection: Connection, sources: Mapping[int, WindowLevels[SeriesKey]]) -> None:
    connection.executemany(
        _KEEP,
        [
            (instance, json.dumps(_document(windows), separators=(",", ":")))
            for instance, windows in sorted(sources.items())
        ],
    )


def _document(windows: WindowLevels[SeriesKey]) -> dict[str, Any]:
    return {
        "open": [[start, *_level_document(level)] for start, level in windows.open.items()],
        "retired": _level_document(windows.retired),
        "until": windows.retired_until,
    }


def _windows(document: Mapping[str, Any]) -> WindowLevels[SeriesKey]:
    return WindowLevels(
        {start: _level(*said) for start, *said in document["open"]},
        _level(*document["retired"]),
        document["until"],
    )


def _level_document(level: Level[SeriesKey]) -> list[Any]:
    cells = [[list(astuple(key)), counts.as_tuple()] for key, counts in level.cells.items()]
    return [level.totals.as_tuple(), cells]


def _level(totals: list[int], cells: list[Any]) -> Level[SeriesKey]:
    return Level(
        TokenCounts(*totals), {SeriesKey(*key): TokenCounts(*counts) for key, counts in cells}
    )
