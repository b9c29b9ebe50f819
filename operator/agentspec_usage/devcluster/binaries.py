"""Where a program comes from: a directory of ready ones, the cache, PATH (clients only), a build.

The servers are never taken from PATH: what is found there has not been chosen for this. A client on
PATH saves a build if it really runs and is close enough to the server: kubectl within one minor
version, the skew that Kubernetes supports, helm of major version 4.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agentspec_usage.devcluster import room
from agentspec_usage.devcluster.building import build, remove_unfinished
from agentspec_usage.devcluster.errors import DevclusterError
from agentspec_usage.devcluster.locking import exclusive
from agentspec_usage.devcluster.places import Places
from agentspec_usage.devcluster.programs import KUBERNETES_MINOR, Program, program
from agentspec_usage.devcluster.progress import Progress, duration
from agentspec_usage.devcluster.toolchain import build_environment, find_go

__all__ = ["Binaries", "is_near_kubectl", "is_right_helm"]

_QUESTION_SECONDS: Final = 10.0
_QUESTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "kubectl": ("version", "--client", "--output=json"),
    "helm": ("version", "--template={{.Version}}"),
}


def is_near_kubectl(answer: str) -> bool:
    """Whether ``kubectl version --client -o json`` names a version that our server supports."""
    try:
        version = json.loads(answer)["clientVersion"]
        major, minor = int(version["major"]), int(version["minor"].rstrip("+"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return major == 1 and abs(minor - KUBERNETES_MINOR) <= 1


def is_right_helm(answer: str) -> bool:
    return answer.startswith("v4.")


@dataclass(slots=True)
class Binaries:
    """Finds programs, and builds those that are nowhere; Go sees ``environ``."""

    places: Places
    environ: Mapping[str, str] = field(repr=False)
    progress: Progress
    ignore_room: bool = False
    _found: dict[str, Path] = field(default_factory=dict, repr=False)

    def path(self, name: str) -> Path:
        """One program, built if it has to be."""
        return self.ensure((name,))[name]

    def ensure(self, names: Iterable[str]) -> dict[str, Path]:
        """All of them; what has to be built is built in the order given."""
        names = tuple(names)
        if missing := [program(name) for name in names if self.find(name) is None]:
            self._build(missing)
        return {name: self._found[name] for name in names}

    def find(self, name: str) -> Path | None:
        """Where it is now; None if it would have to be built."""
        if name not in self._found:
            found = self._in_assets(name) or self._in_cache(name) or self._on_path(name)
            if found is None:
                return None
            self._found[name] = found
        return self._found[name]

    def cached_path(self, wanted: Program) -> Path:
        """Where a build puts it."""
        return self.places.cache / wanted.module.cache_key / wanted.name

    def _in_assets(self, name: str) -> Path | None:
        assets = self.places.assets
        if assets is None:
            return None
        if not assets.is_dir():
            raise DevclusterError(
                f"KUBEBUILDER_ASSETS={assets} is not a directory: correct or unset it"
            )
        return _executable(assets / name)

    def _in_cache(self, name: str) -> Path | None:
        return _executable(self.cached_path(program(name)))

    def _on_path(self, name: str) -> Path | None:
        if name not in _QUESTIONS:
            return None
        found = shutil.which(name, path=self.places.search_path)
        if found is None:
            return None
        # Without HOME and KUBECONFIG the question cannot reach anybody's cluster.
        answer = _ask(
            (found, *_QUESTIONS[name]),
            {
                "PATH": self.places.search_path,
                "HOME": "/nonexistent",
                "KUBECONFIG": "/dev/null",
            },
        )
        suits = is_near_kubectl if name == "kubectl" else is_right_helm
        return Path(found) if suits(answer) else None

    def _build(self, missing: Sequence[Program]) -> None:
        cache = self.places.cache
        progress = self.progress
        with exclusive(cache / "lock", progress.waiting_for(f"builds into {cache}")) as lock:
            remove_unfinished(cache)
            # The one waited for may have built just these.
            missing = [wanted for wanted in missing if self.find(wanted.name) is None]
            if not missing:
                return
            go = find_go(self.places.search_path, cache, self.environ, progress)
            if not self.ignore_room:
                room.check_memory(missing, room.free_memory())
                room.check_disk(missing, (cache, *self._go_caches(go)))
            for number, wanted in enumerate(missing, start=1):
                progress.begin(
                    f"[{number}/{len(missing)}] building {wanted.name} {wanted.module.version}",
                    f", about {duration(wanted.build_seconds)} the first time on two cores",
                )
                target = self.cached_path(wanted)
                build(wanted, target, go=go, environ=self.environ, lock=lock, progress=progress)
                progress.end()
                self._found[wanted.name] = target

    def _go_caches(self, go: Path) -> tuple[Path, ...]:
        environment = build_environment(self.environ, self.places.cache)
        answer = _ask((str(go), "env", "GOCACHE", "GOMODCACHE"), environment)
        return tuple(Path(line) for line in answer.splitlines() if line)


def _ask(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a program prints; nothing if it cannot be run or does not answer in time."""
    try:
        return subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_QUESTION_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _executable(path: Path) -> Path | None:
    found = shutil.which(path)
    return Path(found) if found else None
