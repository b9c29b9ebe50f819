"""Become another program that dies with its parent: ``tethered PARENT COMMAND…``.

A demo that is killed cannot stop what it started. The kernel can: it kills this process when the
thread that started it ends, and the demo starts everything from its main thread. A tether is not
inherited, so as a gunicorn configuration this module ties each worker to its master as well.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Take the tether, then the command's place."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    _tie_to(parent)
    os.execv(command[0], command)


def post_fork(server: Any, worker: Any) -> None:
    """What gunicorn runs in each new worker: it would look for its master only now and then."""
    _tie_to(server.pid)


def _tie_to(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before the tether held
        sys.exit(1)


if __name__ == "__main__":
    main()
