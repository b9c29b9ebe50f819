"""What a store raises, split by what its caller should do about it.

.. code-block:: text

    StoreError
    ├── StoreUnusableError     at start: not to be opened by this program, or not now
    ├── StoreBusyError         too much waits to be written: ask again later, nothing was taken
    ├── StoreUnavailableError  a transaction failed (disk full, locked): nothing of it is stored
    └── StoreRefusedError      what was handed in can never be stored as it is
"""

from __future__ import annotations

from agentspec_usage.errors import AgentspecUsageError

__all__ = [
    "StoreBusyError",
    "StoreError",
    "StoreRefusedError",
    "StoreUnavailableError",
    "StoreUnusableError",
]


class StoreError(AgentspecUsageError):
    """The store could not do what it was asked."""


class StoreUnusableError(StoreError):
    """The database cannot be opened: another process has it, or another version made it."""


class StoreBusyError(StoreError):
    """So much waits to be written that no more is taken. Harmless: whoever sends still has it."""


class StoreUnavailableError(StoreError):
    """A transaction failed, and all of it was undone. ``reason`` is SQLite's name of the error."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the usage store could not write: {reason}")
        self.reason = reason


class StoreRefusedError(StoreError):
    """Nothing of it is stored, and it will not be, however often it comes."""
