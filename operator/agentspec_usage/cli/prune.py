"""``agentspec-usage prune``: drop the single calls of old closed months."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agentspec_usage.cli.months import read_zone
from agentspec_usage.errors import MissingExtraError
from agentspec_usage.metering.months import months_before
from agentspec_usage.runtime.clock import SystemClock, to_rfc3339

if TYPE_CHECKING:
    from agentspec_usage.store.proof.signing import Signer
    from agentspec_usage.store.sql.store import SqlStore

__all__ = ["register"]

_CHUNK_ROWS = 20_000


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "prune",
        help="drop the single calls of old months that were closed",
        description="Drop the single calls of months that were closed and are older than the ones "
        "to keep. What they were charged, by day, agent, model and price, stays, and so does the "
        "proof. It can be interrupted and begun again. The database must be a PostgreSQL server, "
        "or a file whose control plane is stopped (one that runs does it itself: --retain-months).",
    )
    parser.add_argument("--database", required=True, help="the SQLite file, or a postgresql:// URL")
    parser.add_argument(
        "--keep-months",
        required=True,
        type=int,
        choices=range(1, 1201),
        metavar="N",
        help="whole months before the present one whose calls are kept",
    )
    parser.add_argument("--zone", default="UTC", help="the zone whose months (default: UTC)")
    parser.add_argument(
        "--signing-key-file",
        type=Path,
        metavar="FILE",
        help="the control plane's key, which signs what is left; without it an edit of what is "
        "left shows only if it is no skilled one",
    )
    parser.add_argument("--dry-run", action="store_true", help="tell what would be dropped")
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.store.opening import open_existing
        from agentspec_usage.store.proof.signing import read_signer
    except ModuleNotFoundError as error:
        raise MissingExtraError("dropping old calls", "controlplane") from error
    zone = read_zone(arguments.zone)
    before = months_before(SystemClock().now(), arguments.keep_months, zone)
    signer = read_signer(arguments.signing_key_file) if arguments.signing_key_file else None
    store = open_existing(arguments.database)
    try:
        asyncio.run(_prune(store, before, signer, dry=arguments.dry_run))
    finally:
        store.close()
    return 0


async def _prune(store: SqlStore, before: int, signer: Signer | None, *, dry: bool) -> None:
    plan = await store.plan_pruning(before)
    if not plan.until:
        print(f"no month that ended before {to_rfc3339(before)} was closed: nothing is dropped")
        return
    if dry:
        print(f"up to {plan.rows} rows of before {to_rfc3339(plan.until)} would be dropped")
        return
    rows = 0
    while (
        dropped := await store.prune(plan, signer, SystemClock().now(), _CHUNK_ROWS)
    ) is not None:
        rows += dropped
        if sys.stderr.isatty():
            print(f"\r{rows} rows", end="", file=sys.stderr, flush=True)
    print(f"{rows} rows of before {to_rfc3339(plan.until)} were dropped")
