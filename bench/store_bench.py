"""How many usage records a second become durable, and how fast they are found and proved.

Frames of 500 records come from many agents at once and are applied through the store as the control
plane uses it: charged by the bundled catalogue, hashed, summed up, committed to the disk, answered.
The floor writes the rows that came of it, of ``items`` and ``item_details``, once more with a bare
``executemany`` (on PostgreSQL, COPY), the same number to a commit, in the same run, and nothing
else: no watermark, no price, no sum, no hash, no index.

``python -m bench.store_bench --rows 10000000`` fills the store first. ``--database postgresql``
starts a server of its own, a URL names an empty database; ``--programs 2`` lets so many processes
write into it at once, each the records of its own agents. Writes build/bench/store.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.store.opening import (
    is_url,
    open_database,
    open_store,
    reading,
    verify_database,
)
from agentspec_usage.store.proof.rows import DETAIL_COLUMNS, ROW_COLUMNS
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.values import Agent, DigestedFrame, NewKey, Registration
from agentspec_usage.store.verifying_processes import helped, usable_cores
from agentspec_usage.wire.records_encoding import frame_digest
from tests.fixtures.postgresql import of_its_own

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "bench" / "store.json"

FRAME = 500
AGENTS = 40
AT_ONCE = 8
START = 1_790_000_000_000
DAYS = 30
MODELS = tuple(
    SeriesKey(provider, model)
    for provider, model in (
        ("openai", "gpt-5"),
        ("openai", "gpt-5-mini"),
        ("anthropic", "claude-sonnet-4-5"),
        ("google", "gemini-2.5-pro"),
    )
)


class Traffic:
    """Frames as agents would send them, spread over a month in the order of time."""

    def __init__(self, total: int) -> None:
        self._random = Random(7)
        self._step = DAYS * DAY_MS / max(total, 1)
        self._made = 0
        self._stands: dict[int, tuple[int, TokenCounts]] = {}

    def frame(self, agent: int) -> Frame:
        since, totals = self._stands.get(agent, (0, ZERO))
        items = tuple(self._record(seq) for seq in range(since + 1, since + FRAME + 1))
        for item in items:
            totals += item.counts
        self._stands[agent] = since + FRAME, totals
        instance = f"{agent:032x}"
        return Frame(instance, Observer.SDK, since, since + FRAME, totals, items)

    def _record(self, seq: int) -> UsageRecord:
        self._made += 1
        draw = self._random
        size = draw.randrange(200, 20_000)
        return UsageRecord(
            seq,
            START + int(self._made * self._step),
            draw.choice(MODELS),
            TokenCounts(input=size, output=draw.randrange(800), cache_read=size // 3, calls=1),
            response_id=f"resp_{draw.getrandbits(96):024x}",
            duration_ms=draw.randrange(9000),
            context=CallContext(session=f"s-{draw.randrange(10_000)}", team="search"),
        )


async def register(store: SqlStore, number: int) -> Agent:
    key = NewKey(f"{number:032x}", b"digest", START + 10**12)
    return await store.register(
        Registration(f"agt_{number:032x}", f"team-{number % 8}", f"agent-{number}", "k8s", key, 0),
        START,
    )


Made = list[tuple[Agent, DigestedFrame]]


def make(agents: list[Agent], traffic: Traffic, rows: int) -> Made:
    """Frames with ``rows`` records in all."""
    return [
        (agents[place % AGENTS], digested(traffic.frame(place % AGENTS)))
        for place in range(rows // FRAME)
    ]


async def fill(store: SqlStore, made: Made) -> list[float]:
    """Apply the frames, several agents at a time; how long each waited, in seconds."""
    waits: list[float] = []
    queues: list[list[tuple[Agent, DigestedFrame]]] = [[] for _ in range(AT_ONCE)]
    for place, one in enumerate(made):
        queues[place % AGENTS % AT_ONCE].append(one)

    async def send(queue: list[tuple[Agent, DigestedFrame]]) -> None:
        for agent, frame in queue:
            began = time.perf_counter()
            now = frame.frame.items[-1].at if isinstance(frame.frame.items[-1], UsageRecord) else 0
            applied = await store.apply_frames(agent.agent_id, [frame], now, 100_000)
            waits.append(time.perf_counter() - began)
            if applied.items != FRAME:
                sys.exit(f"a frame was not applied: {applied}")

    await asyncio.gather(*(send(queue) for queue in queues))
    return waits


def digested(frame: Frame) -> DigestedFrame:
    return DigestedFrame(frame, frame_digest(frame))


def floor(database: str, rows: int, per_commit: int) -> float:
    """Records a second of the bare insert of the newest ``rows``, as many to a commit."""
    opened = open_database(database)
    with closing(opened.writer()) as connection:
        opened.begin_writing(connection)
        for table, _ in TABLES:
            # Without a key or an index.
            connection.execute(f"CREATE TABLE floor_{table} AS SELECT * FROM {table} WHERE 1 = 0")
        connection.execute("COMMIT")
        (newest,) = connection.execute("SELECT max(item) FROM items").fetchone()
        group = max(per_commit // FRAME, 1) * FRAME
        batches = []
        for last in range(newest - rows + group, newest + group, group):
            bounds = (last - group, min(last, newest))
            batches.append([_stored(connection, *each, bounds) for each in TABLES])
        began = time.perf_counter()
        for batch in batches:
            opened.begin_writing(connection)
            for (table, columns), stored in zip(TABLES, batch, strict=True):
                connection.insert(f"floor_{table}", columns, stored)
            connection.execute("COMMIT")
        seconds = time.perf_counter() - began
    opened.close()
    return rows / seconds


TABLES = (
    ("items", (*ROW_COLUMNS, "salt", "details", "leaf")),
    ("item_details", ("item", *DETAIL_COLUMNS, "salt")),
)


def _stored(
    connection: Connection, table: str, columns: tuple[str, ...], bounds: tuple[int, int]
) -> list[tuple[object, ...]]:
    found = connection.execute(
        f"SELECT {', '.join(columns)} FROM {table} WHERE item > ? AND item <= ? ORDER BY item",
        bounds,
    )
    return [tuple(row) for row in found]


async def timed(ask: Callable[[], object]) -> float:
    """The best of three, in ms."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        found = ask()
        if asyncio.iscoroutine(found):
            await found
        best = min(best, time.perf_counter() - began)
    return best * 1000


async def measure(database: str, before: int, rows: int) -> dict[str, float]:
    """Everything, on a store that holds ``before`` records."""
    store = open_store(database, book=bundled_catalogue())
    try:
        agents = [await register(store, number) for number in range(AGENTS)]
        traffic = Traffic(before + rows)
        for filled in range(0, before, 100_000):
            await fill(store, make(agents, traffic, min(100_000, before - filled)))
            print(f"\rfilled {min(filled + 100_000, before):,}", end="", file=sys.stderr)
        made = make(agents, traffic, rows)
        commits = store.stats.commits
        began, cpu = time.perf_counter(), time.process_time()
        waits = sorted(await fill(store, made))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        commits = store.stats.commits - commits
        month = Span(START, START + DAYS * DAY_MS)
        zoned = Span(month.start - month.start % DAY_MS + 18 * 3_600_000 + 900_000, month.end)
        billing = await timed(lambda: store.sums(UsageFilter(month)))
        namespace = await timed(lambda: store.sums(UsageFilter(month, namespace="team-3")))
        daily = await timed(lambda: store.days(UsageFilter(month), UTC))
        local = await timed(lambda: store.days(UsageFilter(zoned), ZoneInfo("Asia/Kathmandu")))
        page = await timed(lambda: store.calls(UsageFilter(month), 100))
        deep = await timed(lambda: store.calls(UsageFilter(month), 100, rows // 2))
    finally:
        store.close()
    alone, proved = prove(database, 1), prove(database, usable_cores())
    size = size_of(database)
    bare = floor(database, rows, round(rows / commits))
    return {
        "rows before": before,
        "rows": rows,
        "records/s": rows / seconds,
        "floor records/s": bare,
        "ratio to floor": rows / seconds / bare,
        "records a commit": rows / commits,
        "CPU us a record": cpu / rows * 1e6,
        "acknowledged p50 ms": waits[len(waits) // 2] * 1000,
        "acknowledged p99 ms": waits[int(len(waits) * 0.99)] * 1000,
        "month ms": billing,
        "month of a namespace ms": namespace,
        "days of a month ms": daily,
        "days of a month in +05:45 ms": local,
        "newest 100 ms": page,
        "100 in the middle ms": deep,
        "verified rows/s": proved,
        "verified rows/s, one process": alone,
        "bytes a record": size / (before + rows),
    }


def prove(database: str, processes: int) -> float:
    """Rows verified a second, as ``agentspec-usage verify`` does it."""
    began = time.perf_counter()
    with helped(database, processes) as helpers:
        verified = verify_database(database, helpers=helpers)
    if verified.finding is not None:
        sys.exit(f"not verified: {verified.finding}")
    return verified.rows / (time.perf_counter() - began)


def size_of(database: str) -> int:
    """Bytes of everything that is stored, with its indexes."""
    if not is_url(database):
        return Path(database).stat().st_size
    with reading(database) as connection:
        (size,) = connection.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        ).fetchone()
    return int(size)


async def write(database: str, place: int, rows: int) -> None:
    """What one of several programs does: wait for a line, and write its own agents' records."""
    store = open_store(database, book=bundled_catalogue())
    try:
        agents = [await register(store, place * AGENTS + number) for number in range(AGENTS)]
        made = make(agents, Traffic(rows), rows)
        print("ready", flush=True)
        sys.stdin.readline()
        waits = sorted(await fill(store, made))
        print(json.dumps(waits[int(len(waits) * 0.99)]), flush=True)
    finally:
        store.close()


def together(database: str, programs: int, rows: int) -> dict[str, float]:
    """Records a second of several programs on one server, which write at once."""
    command = [sys.executable, "-m", "bench.store_bench", "--database", database]
    running = [
        subprocess.Popen(
            [*command, "--records", str(rows // programs), "--place", str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        for place in range(programs)
    ]
    try:
        for program in running:
            if _said(program) != "ready\n":
                sys.exit("a program did not start")
        began = time.perf_counter()
        for program in running:
            print("go", file=program.stdin, flush=True)
        slowest = max(float(_said(program)) for program in running)
        seconds = time.perf_counter() - began
    finally:
        for program in running:
            program.communicate(timeout=60)
    verified = verify_database(database)
    if verified.finding is not None or verified.rows != rows:
        sys.exit(f"not verified: {verified}")
    return {
        "programs": programs,
        "rows": rows,
        "records/s": rows / seconds,
        "acknowledged p99 ms": slowest * 1000,
    }


def _said(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline()


@contextmanager
def a_database(asked: str, directory: Path | None) -> Iterator[str]:
    """What ``--database`` means: a file, a server of its own, or the URL as it is."""
    if asked == "postgresql":
        with of_its_own() as server:
            yield server.url
    elif asked == "sqlite":
        with tempfile.TemporaryDirectory(dir=directory) as made:
            yield str(Path(made) / "usage.db")
    else:
        yield asked


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=0, help="records in the store beforehand")
    parser.add_argument("--records", type=int, default=100_000, help="records that are timed")
    parser.add_argument("--directory", type=Path, help="where the database is made (default: tmp)")
    parser.add_argument(
        "--database", default="sqlite", help="sqlite, postgresql, or the URL of an empty database"
    )
    parser.add_argument("--programs", type=int, default=1, help="processes that write at once")
    parser.add_argument("--place", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.place is not None:
        asyncio.run(write(arguments.database, arguments.place, arguments.records))
        return
    with a_database(arguments.database, arguments.directory) as database:
        found = (
            together(database, arguments.programs, arguments.records)
            if arguments.programs > 1
            else asyncio.run(measure(database, arguments.rows, arguments.records))
        )
    print(file=sys.stderr)
    for name, value in found.items():
        print(f"{name:32}{value:>16,.2f}")
    kind = "postgresql" if is_url(database) else "sqlite"
    what = {"database": kind, "programs": arguments.programs, "rows before": arguments.rows}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {"runs": []}
    run = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **what, **found}
    known["runs"] = [
        one for one in known["runs"] if any(one.get(name) != what[name] for name in what)
    ] + [run]
    OUTPUT.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
