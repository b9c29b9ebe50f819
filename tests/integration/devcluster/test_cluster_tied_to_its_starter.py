"""A cluster that is tied to the program which started it ends with it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentspec_usage.devcluster import Binaries, find
from agentspec_usage.devcluster.processes import find_by_argument, is_running
from agentspec_usage.devcluster.servers import data_argument
from agentspec_usage.devcluster.state import APISERVER, ETCD, ClusterState, Layout

pytestmark = pytest.mark.cluster

_STARTER = """
import sys, time
from pathlib import Path
from agentspec_usage.devcluster import Binaries, Options, Places, Progress, up
assets, directory = map(Path, sys.argv[1:3])
places = Places(assets=assets, cache=directory, clusters=directory, search_path="")
binaries = Binaries(places, {}, Progress(None))
up(directory, binaries, options=Options(durable=False, tied=True))
print("up", flush=True)
time.sleep(600)
"""


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "number",
    [pytest.param(number, id=number.name) for number in (signal.SIGKILL, signal.SIGTERM)],
)
def test_a_killed_starter_leaves_nothing_behind(
    binaries: Binaries, assets: Path, tmp_path: Path, number: signal.Signals
) -> None:
    directory = tmp_path / "own"
    command = (sys.executable, "-c", _STARTER, str(assets), str(directory))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        state = ClusterState.read(Layout(directory))
        assert state is not None
        assert find(directory, binaries) is not None
        starter.send_signal(number)
    _until(lambda: not directory.exists())
    _until(lambda: not any(is_running(identity) for identity in state.processes.values()))


def test_a_starter_killed_half_way_leaves_nothing_behind(assets: Path, tmp_path: Path) -> None:
    directory = tmp_path / "own"
    layout = Layout(directory)
    command = (sys.executable, "-c", _STARTER, str(assets), str(directory))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starter:
        _until(lambda: bool(find_by_argument(data_argument(ETCD, layout))))
        starter.kill()
    _until(lambda: not directory.exists())
    assert find_by_argument(data_argument(ETCD, layout)) == ()
    assert find_by_argument(data_argument(APISERVER, layout)) == ()
