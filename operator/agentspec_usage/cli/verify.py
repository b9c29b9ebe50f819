"""``agentspec-usage verify`` and ``signing-key``: prove that stored usage was not changed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from agentspec_usage.errors import MissingExtraError, SettingsError
from agentspec_usage.runtime.clock import to_rfc3339

__all__ = ["register"]

_SHOW_EVERY = 50_000


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    verify = subparsers.add_parser(
        "verify",
        help="prove that stored usage was not changed",
        description="Read a usage database again and check that every row is what was accepted, in "
        "its order, that no row was added or removed, that closed months are those that were "
        "closed, and that the kept sums are those of the rows. Names the first that is wrong; exit "
        "code 1 then. It needs the database alone, also of a backup, or beside control planes that "
        "run.",
    )
    verify.add_argument(
        "--database", required=True, help="the SQLite file, or the server's postgresql:// URL"
    )
    verify.add_argument(
        "--public-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="PEM file: check that the signed heads are of this key (can be repeated: of any of "
        "these, after the key was changed)",
    )
    verify.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="checkpoint that was kept elsewhere; proves that the chain up to it was not written "
        "anew or cut off (can be repeated; a file may hold several)",
    )
    verify.add_argument(
        "--processes",
        type=_count,
        metavar="N",
        help="processes that read at once, of a database that is worth it (default: one for each "
        "core that may be used)",
    )
    verify.set_defaults(func=_verify)
    key = subparsers.add_parser(
        "signing-key",
        help="make the key that signs the usage journal",
        description="Make an Ed25519 key pair: the private key for the control plane "
        "(--signing-key-file), the public key for whoever verifies.",
    )
    key.add_argument("--private-key", type=Path, required=True, help="file to make, mode 0600")
    key.add_argument("--public-key", type=Path, required=True, help="file to make")
    key.set_defaults(func=_new_key)


def _verify(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.store.opening import verify_database
        from agentspec_usage.store.proof.checkpoints import split_checkpoints
        from agentspec_usage.store.proof.signing import read_public_key, signed_by_any
        from agentspec_usage.store.verifying_processes import helped, usable_cores
    except ModuleNotFoundError as error:
        raise MissingExtraError("verifying", "controlplane") from error
    public_keys = [read_public_key(path) for path in arguments.public_key]
    kept = [one for path in arguments.checkpoint for one in split_checkpoints(_text(path))]
    with helped(arguments.database, arguments.processes or usable_cores()) as helpers:
        found = verify_database(
            arguments.database,
            is_signed=signed_by_any(public_keys) if public_keys else None,
            kept=kept,
            progress=_Shown() if sys.stderr.isatty() else lambda rows: None,
            helpers=helpers,
        )
    print(f"ledger {found.ledger}: {found.rows} rows in {found.batches} batches verified")
    if found.dropped:
        dropped, until = found.dropped, to_rfc3339(found.dropped.until)
        print(
            f"{dropped.rows} rows of before {until} were dropped by policy; their sums are "
            f"covered, signed by {dropped.key_id or 'nobody'}"
        )
    if found.erased:
        print(f"{found.erased} rows had their details erased; their counts are covered")
    checked = "" if public_keys else " (signatures were not checked: no --public-key)"
    print(f"{found.signed} signed heads{checked}")
    if found.unsigned_rows and found.finding is None:
        print(f"{found.unsigned_rows} rows came after the last signed head")
    if found.unsigned_periods and found.finding is None:
        print(f"{found.unsigned_periods} periods were closed after the last signed head")
    if found.finding is None:
        print("ok")
        return 0
    print(f"CHANGED: {found.finding}")
    return 1


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 1 to 256")
    return int(text)


def _new_key(arguments: argparse.Namespace) -> int:
    try:
        from agentspec_usage.store.proof.signing import new_key_pair
    except ModuleNotFoundError as error:
        raise MissingExtraError("making a key", "controlplane") from error
    private, public = new_key_pair()
    for path, content, mode in (
        (arguments.private_key, private, 0o600),
        (arguments.public_key, public, 0o644),
    ):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise SettingsError(f"{path}: expected a file to make: {error.strerror}") from error
        with open(descriptor, "wb") as file:
            file.write(content)
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: expected a file with checkpoints") from error


class _Shown:
    """Progress on the terminal, now and then."""

    def __init__(self) -> None:
        self._rows = 0

    def __call__(self, rows: int) -> None:
        if rows - self._rows >= _SHOW_EVERY:
            self._rows = rows
            print(f"\r{rows} rows", end="", file=sys.stderr, flush=True)
