"""``agentspec-usage focus``: a month's charges as a file that FinOps tools read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import IO, TYPE_CHECKING

from agentspec_usage.cli.months import read_month
from agentspec_usage.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from agentspec_usage.export.focus_file import Written

__all__ = ["register"]

_STDOUT = "-"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "focus",
        help="a month's charges as FOCUS 1.2, for FinOps tools and warehouses",
        description="Write the charges of a month (UTC) from a usage database, also of a backup or "
        "beside a control plane that runs, in the form of the FinOps Open Cost and Usage "
        "Specification 1.2: a row for each day, agent, model and type of tokens. Their billed "
        "costs sum to the month's statement. What has no price has no row and is told on stderr. "
        "Parquet needs the extra agentspec-usage[parquet].",
    )
    parser.add_argument("--database", required=True, help="the SQLite file, or a postgresql:// URL")
    parser.add_argument("--month", required=True, metavar="YYYY-MM", help="such as 2026-11")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument(
        "--output",
        default=_STDOUT,
        metavar="FILE",
        help="where to write; replaced when it is whole (default: -, the standard output)",
    )
    parser.add_argument("--cluster", default="", help="the cluster's name, for ResourceId")
    parser.add_argument("--namespace", default="", help="of this namespace alone")
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.export.focus_file import FocusFormat, write_focus
        from agentspec_usage.pricing.focus.rows import Export
        from agentspec_usage.store.opening import reading
        from agentspec_usage.store.queries import UsageFilter
        from agentspec_usage.store.sql.focus import day_usage, position
    except ModuleNotFoundError as error:
        raise MissingExtraError("a file of charges", "controlplane") from error
    month = read_month(arguments.month, UTC)
    with reading(arguments.database) as connection:
        at = position(connection)
        export = Export(month, at.ledger, arguments.cluster, at.batch)
        used = day_usage(connection, UsageFilter(month, arguments.namespace))

        kind = FocusFormat(arguments.format)
        try:
            with _output(arguments.output) as out:
                written = write_focus(used, export, kind, out)
        except OSError as error:
            raise SettingsError(f"--output {arguments.output}: {error.strerror}") from error
    _tell(written)
    return 0


@contextmanager
def _output(name: str) -> Iterator[IO[bytes]]:
    """Where to write. A file has its name when it is whole, and not before."""
    if name == _STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _tell(written: Written) -> None:
    """Say on stderr what the file has, and what it has not."""
    sums = ", ".join(f"{money} {money.currency}" for money in written.billed) or "nothing billed"
    print(f"{written.rows:,} rows: {sums}", file=sys.stderr)
    for each in written.unpriced:
        who = f"{each.attribution.namespace}/{each.attribution.agent}"
        print(
            f"no price ({each.reason}): {each.quantity:,} {each.meter} of {each.model or '-'} "
            f"by {who}",
            file=sys.stderr,
        )
