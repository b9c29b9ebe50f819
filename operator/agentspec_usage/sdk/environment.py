"""What a pod's environment says to the SDK in it: the one module of a library that reads it.

Elsewhere the environment belongs to ``cli``, which composes a program. An agent composes itself,
and whoever deploys it (a chart, an injected sidecar) cannot change its code: these variables are
how they say where usage goes, and the same agent runs without any of them. Nothing is read when a
module is imported, only by ``Reporter.from_environment``.

A value that cannot be used is a ``SettingsError`` at the start and never an agent that silently
counts for nobody. A key comes from a file where one is named, and is in no message.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentspec_usage.errors import SettingsError

__all__ = ["SdkEnvironment", "read_environment"]

SIDECAR_URL = "AGENTSPEC_SIDECAR_URL"
CONTROL_PLANE_URL = "AGENTSPEC_CONTROL_PLANE_URL"
API_KEY = "AGENTSPEC_API_KEY"
API_KEY_FILE = "AGENTSPEC_API_KEY_FILE"
PUSH_INTERVAL = "AGENTSPEC_PUSH_INTERVAL"
SHARED_DIRECTORY = "AGENTSPEC_SHARED_DIRECTORY"
SPOOL_DIRECTORY = "AGENTSPEC_SPOOL_DIRECTORY"
TERMINATION_LOG = "AGENTSPEC_TERMINATION_LOG"

_PUSH_INTERVAL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class SdkEnvironment:
    """Where usage goes. "" and None: not said.

    ``sidecar_url`` wins over ``control_plane_url``, and needs no key: the sidecar has the pod's one
    ledger, and reports for the pod. ``push_interval`` in seconds.
    """

    sidecar_url: str = ""
    control_plane_url: str = ""
    api_key: str = field(default="", repr=False)
    push_interval: float = _PUSH_INTERVAL_SECONDS
    shared_directory: Path | None = None
    spool_directory: Path | None = None
    termination_log: Path | None = None

    @property
    def pushes(self) -> bool:
        """Whether there is somebody to push to."""
        return bool(self.sidecar_url or self.control_plane_url)


def read_environment(environment: Mapping[str, str] | None = None) -> SdkEnvironment:
    """What ``environment`` says, by default the process's own. Raises ``SettingsError``."""
    said = os.environ if environment is None else environment
    sidecar, control_plane = _url(said, SIDECAR_URL), _url(said, CONTROL_PLANE_URL)
    return SdkEnvironment(
        sidecar,
        control_plane,
        _api_key(said) if control_plane and not sidecar else "",
        _seconds(said, PUSH_INTERVAL, _PUSH_INTERVAL_SECONDS),
        _path(said, SHARED_DIRECTORY),
        _path(said, SPOOL_DIRECTORY),
        _path(said, TERMINATION_LOG),
    )


def _url(said: Mapping[str, str], name: str) -> str:
    url = said.get(name, "").strip()
    if url and not url.startswith(("http://", "https://")):
        # Not shown: what stands here by mistake may be a key.
        raise SettingsError(f"{name}: expected a URL that begins with http:// or https://")
    return url


def _api_key(said: Mapping[str, str]) -> str:
    path = said.get(API_KEY_FILE, "").strip()
    if not path:
        origin, key = API_KEY, said.get(API_KEY, "").strip()
    else:
        origin = f"{API_KEY_FILE} {path!r}"
        try:
            key = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{origin}: expected a file with the agent's key") from error
    if not key:
        raise SettingsError(
            f"{origin}: expected the agent's key, because {CONTROL_PLANE_URL} is set"
        )
    return key


def _seconds(said: Mapping[str, str], name: str, default: float) -> float:
    text = said.get(name, "").strip()
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise SettingsError(f"{name} {text!r}: expected a number of seconds above 0")
    return seconds


def _path(said: Mapping[str, str], name: str) -> Path | None:
    text = said.get(name, "").strip()
    return Path(text) if text else None
