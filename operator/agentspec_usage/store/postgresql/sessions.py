"""What a session may do and for how long, by what it is for.

A transaction that writes holds the chain's head, and every control plane of this database waits for
it. So the server itself ends one whose program does not go on (paused, or on a machine that is
gone), and what waits for the head waits longer than that, and not for ever.

What is acknowledged is deleted at its sender. So a commit returns when it is on the server's disk,
and on its synchronous standby's where there is one, also where the server or the role is set to
less.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import psycopg
from psycopg.conninfo import make_conninfo

from agentspec_usage.store.postgresql.address import Address
from agentspec_usage.store.postgresql.connection import Driver, adapted

__all__ = ["MIGRATION", "READER", "VERIFIER", "WRITER", "connect"]

logger = logging.getLogger(__name__)

WRITER: Mapping[str, str] = {
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "15s",
    "statement_timeout": "60s",
}
READER: Mapping[str, str] = {
    "default_transaction_read_only": "on",
    "idle_in_transaction_session_timeout": "60s",
    "statement_timeout": "30s",
}
VERIFIER: Mapping[str, str] = {}
"""Reads everything, for as long as that takes."""

MIGRATION: Mapping[str, str] = {"lock_timeout": "60s"}

_STRONG_ENOUGH = ("on", "remote_apply")


def connect(address: Address, session: Mapping[str, str]) -> Driver:
    """A session at the server that may be written to; a verifier's also at a standby.

    Raises ``psycopg.OperationalError`` where there is none.
    """
    wanted = {"target_session_attrs": "any" if session is VERIFIER else "read-write"}
    told = make_conninfo(**{**wanted, **address.parameters})
    driver = adapted(psycopg.connect(told, autocommit=True))
    try:
        for name, value in session.items():
            driver.execute("SELECT set_config($1, $2, false)", (name, value))
        if session is WRITER:
            _commit_to_the_disk(driver)
    except BaseException:
        driver.close()
        raise
    return driver


def _commit_to_the_disk(driver: Driver) -> None:
    found = driver.execute(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync')"
    ).fetchone()
    assert found is not None
    level, fsync = found
    if level not in _STRONG_ENOUGH:
        driver.execute("SET synchronous_commit = on")
    if fsync != "on":
        logger.warning(
            "the server runs with fsync off: what is acknowledged is lost with its power"
        )
