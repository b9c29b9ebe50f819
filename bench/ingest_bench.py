"""How many usage records a second a control plane takes over HTTP, durable before it answers.

The real program, in a process of its own, on a database that is empty; agents as many connections
as there are at once, each with one body of 500 records under way, as the SDK and the sidecar send
them. A body is acknowledged when it answers 200: its records are on the disk. The floor is the same
bodies taken by a server that reads each, decodes it as the program does, and forgets it: what is
between the two is the store.

``python bench/ingest_bench.py --database postgresql://…`` measures on a server, else in a file.
Writes build/bench/ingest.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agentspec_usage.wire.records import decode_records
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from bench.measuring import Usage, cores, rss_mb
from bench.store_bench import AGENTS, FRAME, Traffic

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "bench" / "ingest.json"
ADMIN_KEY = "an admin key of the benchmark"
PORT = 18_000
READY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Result:
    """What a server took."""

    records_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us_a_record: float
    cores: float
    rss_mb: float


async def _forget(request: Request) -> Response:
    decode_records(await request.body())
    return Response('{"durable":[]}', media_type="application/json")


def serve_floor() -> None:
    """The floor, in a process of its own."""
    app = Starlette(routes=[Route("/api/v1/usage/records", _forget, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=PORT, http="h11", log_level="warning", access_log=False)


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    """A server, until the end; its pid."""
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


async def until_ready(session: aiohttp.ClientSession, path: str) -> None:
    for _ in range(READY_SECONDS * 20):
        try:
            async with session.get(path):
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)
    sys.exit("the server did not start")


async def keys_of(session: aiohttp.ClientSession) -> list[str]:
    keys = []
    for number in range(AGENTS):
        body = {
            "agentName": f"agent-{number}",
            "namespace": f"team-{number % 8}",
            "runtime": "k8s",
        }
        headers = {"X-Admin-Key": ADMIN_KEY}
        async with session.post("/api/v1/register", json=body, headers=headers) as answer:
            keys.append((await answer.json())["apiKey"])
    return keys


async def load(pid: int, bodies: list[list[bytes]], *, registered: bool) -> Result:
    """Send each agent's bodies one after the other, all agents at once."""
    limits = aiohttp.TCPConnector(limit=AGENTS)
    base = f"http://127.0.0.1:{PORT}"
    async with aiohttp.ClientSession(base, connector=limits) as session:
        await until_ready(session, "/health/live")
        keys = await keys_of(session) if registered else [""] * AGENTS
        waits: list[float] = []

        async def send(key: str, of_agent: list[bytes]) -> None:
            headers = {"Authorization": f"Bearer {key}"}
            for body in of_agent:
                began = time.perf_counter()
                async with session.post(
                    "/api/v1/usage/records", data=body, headers=headers
                ) as answer:
                    await answer.read()
                    if answer.status != 200:
                        sys.exit(f"a body was answered {answer.status}: {await answer.text()}")
                waits.append(time.perf_counter() - began)

        before = Usage.of(pid)
        began = time.perf_counter()
        await asyncio.gather(*map(send, keys, bodies))
        seconds = time.perf_counter() - began
        after = Usage.of(pid)
    waits.sort()
    records = len(waits) * FRAME
    return Result(
        records / seconds,
        waits[len(waits) // 2] * 1000,
        waits[int(len(waits) * 0.99)] * 1000,
        (after.cpu - before.cpu) / records * 1e6,
        cores(before, after),
        rss_mb(pid),
    )


def measured(database: str, bodies: list[list[bytes]]) -> dict[str, Result]:
    program = [sys.executable, "-m", "agentspec_usage.cli.main", "controlplane"]
    flags = [
        *("--address=127.0.0.1", f"--port={PORT}", "--request-rate=100000"),
        *("--request-burst=100000", "--log-level=warning", "--commit-wait=60"),
    ]
    admin = {"AGENTSPEC_CONTROLPLANE_ADMIN_KEY": ADMIN_KEY}
    with tempfile.TemporaryDirectory() as directory:
        place = database or str(Path(directory) / "usage.db")
        with running([*program, *flags], {**admin, "DATABASE_URL": place}) as pid:
            store = asyncio.run(load(pid, bodies, registered=True))
    with running([sys.executable, __file__, "--serve-floor"], {}) as pid:
        floor = asyncio.run(load(pid, bodies, registered=False))
    return {"control plane": store, "floor": floor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--database", default="", help="a postgresql:// URL (default: a new file)")
    parser.add_argument("--serve-floor", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_floor:
        serve_floor()
        return
    traffic = Traffic(arguments.records)
    each = arguments.records // FRAME // AGENTS
    bodies = [
        [encode_records([encode_frame(traffic.frame(agent))]) for _ in range(each)]
        for agent in range(AGENTS)
    ]
    found = measured(arguments.database, bodies)
    names = ("records/s", "p50 ms", "p99 ms", "CPU us a record", "cores", "MB")
    print(f"{'':16}" + "".join(f"{name:>18}" for name in names))
    for server, result in found.items():
        values = (
            *(result.records_per_second, result.p50_ms, result.p99_ms, result.cpu_us_a_record),
            *(result.cores, result.rss_mb),
        )
        print(f"{server:16}" + "".join(f"{value:>18,.1f}" for value in values))
    ratio = found["control plane"].records_per_second / found["floor"].records_per_second
    print(f"ratio to floor {ratio:.2f}")
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "database": "postgresql" if arguments.database else "sqlite",
        **{
            server: {name: getattr(result, name) for name in result.__dataclass_fields__}
            for server, result in found.items()
        },
    }
    OUTPUT.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
