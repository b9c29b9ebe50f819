"""Processes that outlive the program which started them, and how to end the right ones.

A pid alone names nothing for long: it is reused. A process is named here by pid, start time and
boot, so that a stale file never gets a stranger killed, and signals go through a pidfd, so that the
process checked is the process signalled.

Servers are started with an empty environment: etcd reads ``ETCD_*``, Go reads proxies and
``GODEBUG``, and nothing of the caller's belongs into a cluster of its own.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessIdentity", "find_by_argument", "identify", "is_running", "start", "stop"]

_KILL_SECONDS = 10.0
_PROC = Path("/proc")

# The shell leaves nothing of itself behind: exec keeps the pid and replaces the program.
_ENTER_AND_RUN = 'umask 077 && cd "$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, once and for all; ``started`` is in clock ticks since the boot ``boot``."""

    pid: int
    started: int
    boot: str


def identify(pid: int) -> ProcessIdentity | None:
    """Who has this pid now; None if nobody has, or only a zombie's remains."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field, the name in brackets, may itself have spaces and brackets.
    state, *fields = stat[stat.rindex(")") + 2 :].split()
    if state in ("Z", "X"):
        return None
    return ProcessIdentity(pid, int(fields[18]), _boot())


def is_running(identity: ProcessIdentity) -> bool:
    return identify(identity.pid) == identity


def start(
    arguments: Sequence[str],
    *,
    directory: Path,
    log: Path,
    stdin: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> ProcessIdentity:
    """Start a server in a session of its own, in ``directory``, with stdout and stderr added to
    ``log``.

    What it writes is for its owner alone (umask 077). Of the caller's descriptors it has ``stdin``
    at most.
    """
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        "/bin/sh",
        ["/bin/sh", "-c", _ENTER_AND_RUN, str(directory), *arguments],
        dict(environment or {}),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
            if stdin is None
            else (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE),
    )
    # Not yet reaped, so the pid cannot be reused; one that ended already has an identity that
    # matches nobody.
    return identify(pid) or ProcessIdentity(pid, -1, _boot())


def stop(identity: ProcessIdentity, *, grace: float) -> None:
    """End the process and wait for its end: SIGTERM, and SIGKILL after ``grace`` seconds."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        # Checked after the pidfd exists: from here on the pid cannot come to mean another process.
        if is_running(identity):
            for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_SECONDS)):
                signal.pidfd_send_signal(descriptor, number)
                if _ends_within(descriptor, seconds):
                    break
            _reap(identity.pid)
    finally:
        os.close(descriptor)


def find_by_argument(argument: str) -> tuple[ProcessIdentity, ...]:
    """Processes of this user that have exactly ``argument`` on their command line.

    The recovery for a program that died between starting a server and writing down its pid.
    """
    return tuple(_having(argument))


def _having(argument: str) -> Iterator[ProcessIdentity]:
    wanted = argument.encode()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if entry.stat().st_uid != os.getuid():
                continue
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if wanted in arguments and (identity := identify(int(entry.name))):
            yield identity


def _ends_within(descriptor: int, seconds: float) -> bool:
    """Whether the process ended, with all its threads: a pidfd is readable from then on."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _reap(pid: int) -> None:
    """Take the exit status of an own child; another program's child is its parent's to reap."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
