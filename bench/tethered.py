"""Become another Python program that dies with its parent: ``python -m bench.tethered ARGUMENTS``.

A benchmark that is killed cannot stop what it started; the kernel can. The program takes this
process's place, so that its pid is the one that is measured.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Take the tether, then the program's place."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])


if __name__ == "__main__":
    main()
