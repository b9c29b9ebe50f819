"""``agentspec-usage controlplane``: run the control plane."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from agentspec_usage.cli.settings import add_flags, read_settings, variable
from agentspec_usage.errors import MissingExtraError, SettingsError

__all__ = ["PREFIX", "register"]

PREFIX = "AGENTSPEC_CONTROLPLANE"

ADMIN_KEY = variable(PREFIX, "admin_key")
DATABASE_URL = "DATABASE_URL"
"""What platforms that hand out databases call it."""
SHORTEST_KEY = 16


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command. Its flags are the fields of ``ControlPlaneSettings``."""
    parser = subparsers.add_parser(
        "controlplane",
        help="take heartbeats and usage records in, and keep them",
        description="Take heartbeats and usage records in, and keep them. "
        "Every flag has an environment variable, named in brackets; the flag wins. "
        f"The admin key comes from --admin-key-file, or from {ADMIN_KEY}; it has no flag, "
        "because flags are seen by everybody on the machine.",
    )
    parser.set_defaults(func=_run)
    try:
        from agentspec_usage.controlplane.settings import ControlPlaneSettings
    except ModuleNotFoundError:
        return
    add_flags(parser, ControlPlaneSettings, PREFIX)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.controlplane.program import run_control_plane
        from agentspec_usage.controlplane.settings import ControlPlaneSettings
        from agentspec_usage.runtime.logs import configure_logging
    except ModuleNotFoundError as error:
        raise MissingExtraError("the control plane", "controlplane") from error
    if arguments.database is None and variable(PREFIX, "database") not in os.environ:
        arguments.database = os.environ.get(DATABASE_URL)
    settings = read_settings(ControlPlaneSettings, arguments, PREFIX)
    admin_key = _admin_key(settings.admin_key_file)
    operator_key = (
        _key_in(settings.operator_key_file, "operator") if settings.operator_key_file else ""
    )
    configure_logging(settings.log_format, settings.log_level, sys.stderr)
    return run_control_plane(settings, admin_key, operator_key)


def _admin_key(path: str) -> str:
    """The admin key, "" where none is set; one that is named and cannot be had is an error."""
    if path:
        return _key_in(path, "admin")
    key = os.environ.get(ADMIN_KEY, "")
    return _long_enough(ADMIN_KEY, key, "admin") if key else ""


def _key_in(path: str, whose: str) -> str:
    try:
        key = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: expected a file with the {whose} key") from error
    return _long_enough(path, key, whose)


def _long_enough(origin: str, key: str, whose: str) -> str:
    if len(key) < SHORTEST_KEY:
        raise SettingsError(
            f"{origin}: expected an {whose} key of at least {SHORTEST_KEY} characters"
        )
    return key
