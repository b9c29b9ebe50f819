"""The life of a sample process: work at a rate, go quiet on SIGUSR1, end on SIGTERM.

A quiet process makes no more calls, says on standard output what it used (one line of JSON), and
goes on serving. That is what makes a number checkable: it stands still, and two sides state it.

Signals are waited for, not handled: ``sigtimedwait`` is the pause between two calls, so nothing is
ever interrupted half-way.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Callable

__all__ = ["arguments", "live"]

_SIGNALS = {signal.SIGUSR1, signal.SIGTERM, signal.SIGINT}
_IDLE_SECONDS = 1.0


def arguments(description: str, *, port: int = 8080) -> argparse.ArgumentParser:
    """The flags that every sample has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--address", default="127.0.0.1", help="address to serve on (%(default)s)")
    parser.add_argument("--port", type=int, default=port, help="port to serve on (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which sequence of calls (%(default)s)")
    parser.add_argument(
        "--rate", type=float, default=4.0, help="model calls a second (%(default)s)"
    )
    return parser


def live(rate: float, work: Callable[[], object], used: Callable[[], int | None]) -> None:
    """Call ``work`` ``rate`` times a second until told to be quiet; return when told to end.

    ``used`` is the truth to say when quiet; None says nothing. Call this before any thread is
    started, or with the signals blocked by ``hold_signals``. Ends too when its parent is gone, so
    that a killed demo leaves nobody behind.
    """
    hold_signals()
    parent, working = os.getppid(), rate > 0
    while os.getppid() == parent:
        told = signal.sigtimedwait(_SIGNALS, 1 / rate if working else _IDLE_SECONDS)
        if told is None:
            if working:
                work()
        elif told.si_signo == signal.SIGUSR1:
            working = False
            # One write: processes that share a standard output do not mix their lines.
            line = json.dumps({"pid": os.getpid(), "totalTokens": used()})
            os.write(1, f"{line}\n".encode())
        else:
            return


def hold_signals() -> None:
    """Keep the signals for ``live``; threads and children started from now on inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
