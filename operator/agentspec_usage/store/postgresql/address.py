"""Where the database is: a ``postgresql://`` URL, which may hold a password.

What is shown of it (in logs, in errors) is composed of the parts that may be seen, and is not the
URL with its password cut out: in a URL that is written wrongly nobody knows where the password
ends. For the same reason the driver's complaint about such a URL is not passed on: it quotes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from agentspec_usage.store.errors import StoreUnusableError

__all__ = ["Address", "read_address"]

_DEFAULTS: Mapping[str, str] = {
    "application_name": "agentspec-usage",
    "connect_timeout": "5",
    # A server that is gone without a word is noticed in half a minute, not after hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
"""Of the connection, where the URL says nothing else."""


@dataclass(frozen=True, slots=True)
class Address:
    """The driver's parameters; as a text it is what may be shown."""

    parameters: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        host = self.parameters.get("host") or self.parameters.get("hostaddr", "")
        port = self.parameters.get("port", "")
        user = self.parameters.get("user", "")
        place = f"{host}:{port}" if port else host
        return (
            f"postgresql://{f'{user}@' if user else ''}{place}/{self.parameters.get('dbname', '')}"
        )


def read_address(url: str) -> Address:
    """What ``url`` says. Raises ``StoreUnusableError`` for one that cannot be read."""
    try:
        told = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except ProgrammingError:
        told = {"port": "unreadable"}
    if not _is_plausible(told):
        raise StoreUnusableError(
            "the URL of the database cannot be read: expected "
            "postgresql://user:password@host:5432/name?sslmode=verify-full, with every character "
            "of the password that is not a letter, a digit or one of -._~ as %XX"
        )
    return Address({**_DEFAULTS, **told})


def _is_plausible(told: Mapping[str, str]) -> bool:
    """Whether no part of a password was taken for something else, as after a / in it."""
    ports = told.get("port", "").split(",")
    return all(not port or port.isdecimal() for port in ports) and not re.search(
        "[/@]", told.get("dbname", "")
    )
