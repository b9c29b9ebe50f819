"""``agentspec-usage operator``: run the operator."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agentspec_usage.cli.settings import add_flags, read_settings
from agentspec_usage.errors import MissingExtraError, SettingsError, UsageError
from agentspec_usage.wire.writer_state_seal import SealKey, SealKeys

if TYPE_CHECKING:
    from agentspec_usage.controller.settings import OperatorSettings

__all__ = ["PREFIX", "register", "seal_keys_of"]

PREFIX = "AGENTSPEC_OPERATOR"

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command. Its flags are the fields of ``OperatorSettings``."""
    parser = subparsers.add_parser(
        "operator",
        help="watch AgentObservations, read the agents' usage, patch status.usage",
        description="Watch AgentObservations, read the agents' usage, patch status.usage. "
        "Every flag has an environment variable, named in brackets; the flag wins.",
    )
    parser.set_defaults(func=_run)
    try:
        from agentspec_usage.controller.settings import OperatorSettings
    except ModuleNotFoundError:
        # The flags are not known then; whatever is given, what helps is the pip line of ``_run``.
        parser.prefix_chars = "\0"
        parser.add_argument("anything", nargs="*", help=argparse.SUPPRESS)
        return
    add_flags(parser, OperatorSettings, PREFIX)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.controller.program import run_operator
        from agentspec_usage.controller.settings import OperatorSettings
        from agentspec_usage.runtime.logs import configure_logging
    except ModuleNotFoundError as error:
        raise MissingExtraError("the operator", "operator") from error
    settings = read_settings(OperatorSettings, arguments, PREFIX)
    defaults = {}
    if not settings.identity:
        defaults["identity"] = f"{socket.gethostname()}_{os.getpid()}"
    if not settings.lease_namespace:
        defaults["lease_namespace"] = _own_namespace(settings.leader_elect)
    settings = settings.model_copy(update=defaults)
    seal_keys = seal_keys_of(settings)
    configure_logging(settings.log_format, settings.log_level, sys.stderr)
    return run_operator(settings, seal_keys)


def seal_keys_of(settings: OperatorSettings) -> SealKeys | None:
    """The keys that the files hold; None when statuses are not to be sealed."""
    if not settings.seal_key_file:
        return None
    current = _seal_key(settings.seal_key_file)
    if current is not None:
        return SealKeys(current, _seal_key(settings.previous_seal_key_file))
    if settings.seal_required:
        raise SettingsError(
            f"{settings.seal_key_file}: expected a file with the seal key; "
            "run with --no-seal-required to go on without a seal"
        )
    return None


def _seal_key(path: str) -> SealKey | None:
    """The key in a file; None when there is no file."""
    if not path:
        return None
    try:
        return SealKey.of(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: expected a file with a seal key") from error
    except UsageError as error:
        raise SettingsError(f"{path}: {error}") from error


def _own_namespace(needed: bool) -> str:
    """The namespace of the pod that this process runs in."""
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except OSError:
        if not needed:
            return ""
        raise SettingsError(
            "--lease-namespace is not set and this is no pod: name the namespace of the Lease, "
            "or run with --no-leader-elect"
        ) from None
