"""Where binaries and clusters live, from an environment that is handed in.

Only ``cli`` and the tests have an environment to hand in; nothing below them reads it.
``KUBECONFIG`` and ``~/.kube`` are not looked at, on purpose: what they name is somebody's cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentspec_usage.devcluster.errors import DevclusterError

__all__ = ["Places"]

_OURS = Path("agentspec-usage", "devcluster")


@dataclass(frozen=True, slots=True)
class Places:
    """``assets`` has ready binaries; kubectl, helm and go may be on ``search_path``."""

    assets: Path | None
    cache: Path
    clusters: Path
    search_path: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Places:
        assets = environ.get("KUBEBUILDER_ASSETS")
        return cls(
            assets=Path(assets) if assets else None,
            cache=_base(environ, "XDG_CACHE_HOME", ".cache") / _OURS,
            clusters=_base(environ, "XDG_STATE_HOME", ".local/state") / _OURS,
            search_path=environ.get("PATH", ""),
        )


def _base(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    # The XDG specification: a relative path in such a variable is invalid and to be ignored.
    if (given := Path(environ.get(variable, ""))).is_absolute():
        return given
    home = Path(environ.get("HOME", ""))
    if not home.is_absolute():
        raise DevclusterError(
            f"neither {variable} nor HOME is an absolute path: "
            "set one, so that there is a place to keep things"
        )
    return home / below_home
