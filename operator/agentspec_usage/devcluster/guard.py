"""The process that outlives the one it watches, to end the cluster that was tied to it.

``prctl(PR_SET_PDEATHSIG)`` would be shorter and wrong twice: it fires when the *thread* that
started the server ends, and it would end etcd before the API server. A pipe's end comes exactly
when the last holder of its other end is gone, however it went.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from agentspec_usage.devcluster.cluster import down

__all__ = ["main"]


def main() -> None:
    # A Ctrl-C meant for the watched process ends that one; the guard then has work to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()
    down(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
