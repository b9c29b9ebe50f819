"""``agentspec-usage sidecar``: meter the model calls of a pod."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from agentspec_usage.cli.settings import add_flags, read_settings, variable
from agentspec_usage.errors import MissingExtraError, SettingsError

__all__ = ["PREFIX", "register"]

PREFIX = "AGENTSPEC_SIDECAR"

API_KEY = variable(PREFIX, "api_key")

_WELL_KNOWN = ("upstream_url", "audit_ring_size", "token_log_dir")
"""Settings that other sidecars of this kind take from variables without a prefix: a manifest
written for one of them works here."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command. Its flags are the fields of ``SidecarSettings``."""
    unprefixed = ", ".join(name.upper() for name in _WELL_KNOWN)
    parser = subparsers.add_parser(
        "sidecar",
        help="meter the model calls of a pod",
        description="Forward the model calls of a pod unchanged, and count what they use. "
        "Every flag has an environment variable, named in brackets; the flag wins. "
        f"{unprefixed} are taken without the prefix as well. "
        f"The key for the control plane comes from --api-key-file, or from {API_KEY}; it has no "
        "flag, because flags are seen by everybody on the machine.",
    )
    parser.set_defaults(func=_run)
    try:
        from agentspec_usage.sidecar.settings import SidecarSettings
    except ModuleNotFoundError:
        # The flags are not known then; whatever is given, what helps is the pip line of ``_run``.
        parser.prefix_chars = "\0"
        parser.add_argument("anything", nargs="*", help=argparse.SUPPRESS)
        return
    add_flags(parser, SidecarSettings, PREFIX)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.runtime.logs import configure_logging
        from agentspec_usage.sidecar.program import run_sidecar
        from agentspec_usage.sidecar.settings import SidecarSettings
    except ModuleNotFoundError as error:
        raise MissingExtraError("the sidecar", "sidecar") from error
    environment = dict(os.environ)
    for name in _WELL_KNOWN:
        if name.upper() in environment:
            environment.setdefault(variable(PREFIX, name), environment[name.upper()])
    settings = read_settings(SidecarSettings, arguments, PREFIX, environment)
    configure_logging(settings.log_format, settings.log_level, sys.stderr)
    return run_sidecar(settings, _api_key(settings.control_plane_url, settings.api_key_file))


def _api_key(control_plane_url: str, path: str) -> str:
    """The key for the control plane; "" where there is none to talk to."""
    if not control_plane_url:
        return ""
    if path:
        try:
            key = Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: expected a file with the agent's key") from error
    else:
        path, key = API_KEY, os.environ.get(API_KEY, "").strip()
    if not key or not key.isprintable():
        raise SettingsError(f"{path}: expected the agent's key for the control plane")
    return key
