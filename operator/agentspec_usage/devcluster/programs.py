"""The programs of the development cluster, each pinned to one release.

They come from three Go modules that are package data (``go/``), because etcd, Kubernetes and helm
want different versions of the same dependencies. A binary in the cache is named by everything that
decides what is in it: release, platform and a digest of the module and the build flags. A new pin
is therefore another cache entry, and an old one is never mistaken for it.

Durations and sizes are measured with empty caches on two cores; they are only ever told to people
and compared with free space, so being right within a factor of two is enough.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

__all__ = [
    "GO_SERIES",
    "KUBERNETES_MINOR",
    "PROGRAMS",
    "GoModule",
    "Program",
    "module_sources",
    "program",
]

GO_SERIES: Final = "1.26"
"""The Go release that Kubernetes 1.36 names. Built with 1.27 it serves a broken /openapi/v2."""

KUBERNETES_MINOR: Final = 36

_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class GoModule:
    """One pinned Go module, in ``go/<name>``; ``stamps`` are variables that the linker sets."""

    name: str
    version: str
    stamps: tuple[str, ...] = ()

    @property
    def linker_flags(self) -> str:
        return " ".join(("-s", "-w", *(f"-X {stamp}" for stamp in self.stamps)))

    @property
    def cache_key(self) -> str:
        """Name of the directory that holds this module's binaries."""
        digest = hashlib.sha256(self.linker_flags.encode())
        for relative, content in module_sources(self):
            digest.update(f"\0{relative}\0{len(content)}\0".encode())
            digest.update(content)
        machine = f"{platform.system()}-{platform.machine()}".lower()
        return f"{self.name}-{self.version}-{machine}-{digest.hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Program:
    """One binary: what it is built from, how long that takes and how much room it wants."""

    name: str
    module: GoModule
    package: str
    build_seconds: int
    build_disk_bytes: int
    build_memory_bytes: int


def _version_stamps(version: str) -> tuple[str, ...]:
    major, minor, _ = version.removeprefix("v").split(".")
    return tuple(
        f"{package}.{field}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for field, value in (
            ("gitVersion", version),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
        )
    )


_KUBERNETES: Final = GoModule("kubernetes", "v1.36.3", _version_stamps("v1.36.3"))
_ETCD: Final = GoModule("etcd", "v3.7.3")
_HELM: Final = GoModule("helm", "v4.3.1", ("helm.sh/helm/v4/internal/version.version=v4.3.1",))

PROGRAMS: Final[tuple[Program, ...]] = (
    Program("kube-apiserver", _KUBERNETES, "./kube-apiserver", 200, 4000 * _MIB, 3000 * _MIB),
    Program("etcd", _ETCD, ".", 20, 300 * _MIB, 1000 * _MIB),
    Program("kubectl", _KUBERNETES, "./kubectl", 45, 400 * _MIB, 1500 * _MIB),
    Program("helm", _HELM, ".", 100, 1000 * _MIB, 1500 * _MIB),
    Program(
        "kube-controller-manager",
        _KUBERNETES,
        "./kube-controller-manager",
        50,
        600 * _MIB,
        3000 * _MIB,
    ),
)
"""In the order of need: the cluster can start as soon as the first two exist."""


def program(name: str) -> Program:
    """The program called ``name``; a ``KeyError`` is the caller's mistake."""
    return {known.name: known for known in PROGRAMS}[name]


def module_sources(module: GoModule) -> tuple[tuple[str, bytes], ...]:
    """The module's files as (path inside the module, content), in one order on every machine."""
    with resources.as_file(resources.files(__package__) / "go" / module.name) as root:
        return tuple(
            (path.relative_to(root).as_posix(), path.read_bytes())
            for path in sorted(Path(root).rglob("*"))
            if path.is_file()
        )
