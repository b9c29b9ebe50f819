"""The benchmark's results: one row for each fleet size and load, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["HEADINGS", "Measured", "Row", "line", "markdown", "write_json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one program did in a window. None where a number has no meaning for it."""

    n: int
    load: str
    scrapes_per_s: float
    wanted_per_s: float
    lateness_p50_s: float | None
    lateness_p99_s: float | None
    cpu_cores: float
    cpu_ms_per_scrape: float | None
    rss_mb: float
    status_writes_per_s: float
    suppressed_per_s: float | None
    apiserver_cores: float
    first_status_all_s: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """The operator, and what it is to be compared with."""

    operator: Measured
    floor: Measured | None
    naive: Measured | None

    def as_json(self) -> dict[str, object]:
        return {
            **_rounded(self.operator),
            "floor": _rounded(self.floor) if self.floor else None,
            "naive": _rounded(self.naive) if self.naive else None,
        }


def _rounded(measured: Measured) -> dict[str, object]:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in asdict(measured).items()
    }


def write_json(path: Path, rows: Sequence[Row]) -> None:
    ordered = sorted(rows, key=lambda row: row.operator.n)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"rows": [row.as_json() for row in ordered]}, indent=2) + "\n")


HEADINGS = (
    f"{'agents':>6} {'load':5} {'program':8} {'scrapes/s':>10} {'wanted':>7} {'p50 s':>6} "
    f"{'p99 s':>6} {'cores':>6} {'ms/scrape':>9} {'MB':>6} {'writes/s':>8} {'suppr/s':>7} "
    f"{'API cores':>9} {'all shown s':>11}"
)


def line(program: str, measured: Measured) -> str:
    """One line of the table under ``HEADINGS``."""
    m = measured
    return (
        f"{m.n:6} {m.load:5} {program:8} {m.scrapes_per_s:10.1f} {m.wanted_per_s:7.1f} "
        f"{_number(m.lateness_p50_s, 6, 3)} {_number(m.lateness_p99_s, 6, 3)} {m.cpu_cores:6.3f} "
        f"{_number(m.cpu_ms_per_scrape, 9, 3)} {m.rss_mb:6.0f} {m.status_writes_per_s:8.2f} "
        f"{_number(m.suppressed_per_s, 7, 2)} {m.apiserver_cores:9.3f} "
        f"{_number(m.first_status_all_s, 11, 1)}"
    )


def _number(value: float | None, width: int, digits: int) -> str:
    return "-".rjust(width) if value is None else f"{value:.{digits}f}".rjust(width)


_MARKDOWN = (
    "| agents | load | program | scrapes/s | late p50 | late p99 | cores | ms/scrape | MB "
    "| writes/s | API server cores | all shown |\n|" + " --- |" * 12
)


def markdown(rows: Sequence[Row]) -> str:
    """The table of ``docs/benchmarks.md``."""
    lines = [_MARKDOWN]
    for row in sorted(rows, key=lambda row: (row.operator.n, row.operator.load), reverse=True):
        programs = (("operator", row.operator), ("floor", row.floor), ("naive", row.naive))
        lines += [_cells(program, measured) for program, measured in programs if measured]
    return "\n".join(lines)


def _cells(program: str, m: Measured) -> str:
    cells = (
        f"{m.n:,}",
        m.load,
        program,
        f"{m.scrapes_per_s:.1f}",
        *(_number(late, 0, 3) for late in (m.lateness_p50_s, m.lateness_p99_s)),
        f"{m.cpu_cores:.3f}",
        _number(m.cpu_ms_per_scrape, 0, 2),
        f"{m.rss_mb:.0f}",
        f"{m.status_writes_per_s:.1f}",
        f"{m.apiserver_cores:.3f}",
        _number(m.first_status_all_s, 0, 0),
    )
    return f"| {' | '.join(cells)} |"
