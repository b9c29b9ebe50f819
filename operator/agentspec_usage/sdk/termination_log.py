"""The last number of a process that is killed without a word.

Kubernetes keeps what a container wrote to its termination log, whatever ended it. The file is
overwritten in place (it is mounted, and cannot be replaced) and never emptied first, so that a kill
in the middle leaves the number before or the number after.
"""

from __future__ import annotations

import os
from pathlib import Path

from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.wire.usage_encoding import encode_usage

__all__ = ["MAX_TERMINATION_LOG", "TerminationLog"]

MAX_TERMINATION_LOG = 4096
"""What Kubernetes keeps of it."""


class TerminationLog:
    """Keeps lifetime totals in the file at ``path``; rows of models as far as they fit."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: tuple[str | None, int | None, bool] | None = None

    def write(self, snapshot: UsageSnapshot) -> None:
        """Write ``snapshot`` if it says more than the last one did."""
        said = (snapshot.instance_id, snapshot.seq, snapshot.final)
        if said == self._written:
            return
        body = encode_usage([snapshot], max_bytes=MAX_TERMINATION_LOG)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.pwrite(descriptor, body, 0)
            os.ftruncate(descriptor, len(body))
        finally:
            os.close(descriptor)
        self._written = said
