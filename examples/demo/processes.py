"""The processes that the demo starts, and how it ends them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from examples.demo.cast import Program
from examples.demo.manifests import SamplePod

__all__ = ["ROOT", "SampleProcess", "start", "start_pod", "stop", "wait_until_listening"]

ROOT = Path(__file__).resolve().parents[2]

_GRACE_SECONDS = 10.0
_START_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class SampleProcess:
    """A sample agent's process; its standard output is a pipe on which it says what it used."""

    pod: SamplePod
    program: Program
    process: subprocess.Popen[bytes]

    def quiet(self) -> None:
        """No more model calls; go on serving."""
        self.process.send_signal(signal.SIGUSR1)

    def used(self, deadline: float) -> list[int | None]:
        """What each of its workers says it used, after ``quiet``. Raises TimeoutError."""
        assert self.process.stdout is not None
        said = b""
        while said.count(b"\n") < self.program.workers:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TimeoutError(f"{self.pod.name}: {self.program.module} does not say its usage")
            read = os.read(self.process.stdout.fileno(), 4096)
            if not read:
                raise TimeoutError(f"{self.pod.name}: {self.program.module} has ended")
            said += read
        return [json.loads(line)["totalTokens"] for line in said.splitlines()]


def start(
    arguments: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    stdout: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start Python with ``arguments``, tethered to this process, in a session of its own.

    The session keeps a Ctrl-C from reaching it: the demo ends its processes in the order that it
    wants.
    """
    tether = ["-m", "examples.demo.tethered", str(os.getpid())]
    with log.open("ab") as stderr:
        return subprocess.Popen(
            [sys.executable, *tether, sys.executable, *arguments],
            cwd=ROOT,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stderr if stdout is None else stdout,
            stderr=stderr,
            start_new_session=True,
        )


def start_pod(pod: SamplePod, log: Path) -> list[SampleProcess]:
    """Start the programs of a pod."""
    started = []
    for program in pod.agent.programs:
        flags = [f"--address={pod.address}", f"--port={pod.agent.port}", f"--seed={pod.number}"]
        process = start(
            ["-m", f"examples.agents.{program.module}", *flags], log=log, stdout=subprocess.PIPE
        )
        started.append(SampleProcess(pod, program, process))
        if program is pod.agent.programs[0]:
            wait_until_listening(pod.address, pod.agent.port, process)
    return started


def wait_until_listening(address: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a connection is taken. Raises TimeoutError."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {address}:{port}")


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End them all: SIGTERM, and SIGKILL for who does not follow."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
