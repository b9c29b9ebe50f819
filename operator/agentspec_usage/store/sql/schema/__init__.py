"""The tables, as the steps that made them, in SQLite's words (``Dialect`` knows the other ones).

A database remembers how many steps it has taken; a blank one takes all of them, an old one the
rest, and both arrive at the same tables. A step never changes once it was released.
"""

from __future__ import annotations

from agentspec_usage.store.sql.schema.agents import AGENTS
from agentspec_usage.store.sql.schema.events import EVENTS
from agentspec_usage.store.sql.schema.items import COUNT_COLUMNS, ITEMS
from agentspec_usage.store.sql.schema.journal import JOURNAL
from agentspec_usage.store.sql.schema.periods import PERIODS
from agentspec_usage.store.sql.schema.retention import RETENTION
from agentspec_usage.store.sql.schema.sums import SUMS
from agentspec_usage.store.sql.schema.tail import TAIL

__all__ = ["APPLICATION_ID", "COUNT_COLUMNS", "MIGRATIONS", "VERSION"]

APPLICATION_ID = 0x61677331
""""ags1": how ``file`` and this program tell the database from others."""

_BASELINE = AGENTS + ITEMS + SUMS + JOURNAL + PERIODS + TAIL + EVENTS + RETENTION

MIGRATIONS: tuple[str, ...] = (_BASELINE,)
"""Step n leads from version n to n + 1."""

VERSION = len(MIGRATIONS)
