"""How many usage records a second become durable, and how fast they are found and proved.

Frames of 500 records come from many agents at once and are applied through the store as the control
plane uses it: charged by the bundled catalogue, hashed, summed up, committed with
``synchronous=FULL``, answered. The floor writes the same rows of ``items`` and ``item_details``
with a bare ``executemany``, the same number to a commit, in the same run, and nothing else: no
watermark, no price, no sum, no hash.

``python bench/store_bench.py --rows 10000000`` fills the store first. Writes
build/bench/store.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from agentspec_usage.metering.counts import COMPONENTS, ZERO, TokenCounts
from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.store.proof.rows import DETAIL_COLUMNS
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sqlite.opening import open_writer
from agentspec_usage.store.sqlite.store import SqliteStore
from agentspec_usage.store.sqlite.verifying import verify_file
from agentspec_usage.store.values import Agent, DigestedFrame, NewKey, Registration
from agentspec_usage.wire.records_encoding import frame_digest

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


async def register(store: SqliteStore, number: int) -> Agent:
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


async def fill(store: SqliteStore, made: Made) -> list[float]:
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


def floor(directory: Path, rows: int, per_commit: int) -> float:
    """Records a second of the bare insert: the same columns, as many to a commit."""
    path = directory / "floor.db"
    columns = (
        *("item", "instance", "kind", "first_seq", "last_seq", "at", "claimed_at", "received_at"),
        *("series", "status", "coarse", "requests"),
        *COMPONENTS,
    )
    with closing(open_writer(path)) as connection:
        for table, names in (("items", columns), ("details", ("item", *DETAIL_COLUMNS))):
            rest = ", ".join(names[1:])
            connection.execute(f"CREATE TABLE {table} ({names[0]} INTEGER PRIMARY KEY, {rest})")
        items = f"INSERT INTO items VALUES ({', '.join('?' * len(columns))})"
        details = f"INSERT INTO details VALUES ({', '.join('?' * (1 + len(DETAIL_COLUMNS)))})"
        traffic = Traffic(rows)
        batches = []
        number = 0
        for _ in range(rows // FRAME):
            frame = traffic.frame(0)
            of_items, of_details = [], []
            for item in frame.items:
                if not isinstance(item, UsageRecord):
                    continue
                number += 1
                facts = ("record", item.seq, item.seq, item.at, None, item.at, 1, "ok", 0, None)
                of_items.append((number, 1, *facts, *item.counts.as_tuple()))
                said = (None, None, item.response_id, item.duration_ms, None, None)
                context = (item.context.session, None, None, item.context.team, None, None)
                of_details.append((number, *said, *context))
            batches.append((of_items, of_details))
        began = time.perf_counter()
        group = max(per_commit // FRAME, 1)
        for place in range(0, len(batches), group):
            connection.execute("BEGIN IMMEDIATE")
            for of_items, of_details in batches[place : place + group]:
                connection.executemany(items, of_items)
                connection.executemany(details, of_details)
            connection.execute("COMMIT")
        return rows / (time.perf_counter() - began)


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


async def measure(directory: Path, before: int, rows: int) -> dict[str, float]:
    """Everything, on a store that holds ``before`` records."""
    store = SqliteStore(directory / "usage.db", book=bundled_catalogue())
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
    began = time.perf_counter()
    verified = verify_file(directory / "usage.db")
    if verified.finding is not None:
        sys.exit(f"not verified: {verified.finding}")
    proved = verified.rows / (time.perf_counter() - began)
    bare = floor(directory, rows, round(rows / commits))
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
        "bytes a record": (directory / "usage.db").stat().st_size / (before + rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=0, help="records in the store beforehand")
    parser.add_argument("--records", type=int, default=100_000, help="records that are timed")
    parser.add_argument("--directory", type=Path, help="where the database is made (default: tmp)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        found = asyncio.run(measure(Path(directory), arguments.rows, arguments.records))
    print(file=sys.stderr)
    for name, value in found.items():
        print(f"{name:32}{value:>16,.2f}")
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {"runs": []}
    run = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **found}
    known["runs"] = [one for one in known["runs"] if one["rows before"] != arguments.rows] + [run]
    OUTPUT.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
