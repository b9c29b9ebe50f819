"""Become another program that dies with its parent: ``tethered PARENT COMMAND…``.

A demo that is killed cannot stop what it started. The kernel can: it kills this process when the
thread that started it ends, and the demo starts everything from its main thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Take the tether, then the command's place."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before the tether held
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
