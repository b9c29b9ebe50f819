"""``agentspec-usage``: one entry, a command for each program.

A command's module is imported when it is chosen, so that each program needs its own extra alone;
one that is not installed fails with the pip line that helps.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agentspec_usage import __version__
from agentspec_usage.cli import (
    controlplane,
    devcluster,
    focus,
    operator,
    prune,
    reprice,
    sidecar,
    statement,
    verify,
)
from agentspec_usage.errors import AgentspecUsageError

__all__ = ["build_parser", "main"]


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="agentspec-usage",
        description="Token metering and chargeback for AI agents on Kubernetes.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    operator.register(subparsers)
    controlplane.register(subparsers)
    sidecar.register(subparsers)
    statement.register(subparsers)
    reprice.register(subparsers)
    prune.register(subparsers)
    focus.register(subparsers)
    verify.register(subparsers)
    devcluster.register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. What is wrong with the input is one line, not a traceback."""
    arguments = build_parser().parse_args(argv)
    try:
        code: int = arguments.func(arguments)
    except AgentspecUsageError as error:
        print(f"agentspec-usage: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
