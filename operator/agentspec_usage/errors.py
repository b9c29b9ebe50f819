"""The error tree of the project, split by whose fault an error is.

.. code-block:: text

    AgentspecUsageError
    ├── UsageError            the caller's: a value that is not what the function takes
    │   ├── SettingsError     a flag or environment variable
    │   └── MissingExtraError an extra that is not installed; says the pip line
    ├── PeerError             the other end's: an answer that is not what the contract says
    │   ├── WireError         bytes that do not decode; names the path inside the document
    │   └── AnswerError       an HTTP answer of an agent that is refused (``scrape.response``)
    ├── ClusterError          the API server's: refused, unreachable, not what was expected
    │   └── ApiError          with the status, the reason and when to ask again
    └── DevclusterError       a cluster on this machine that cannot be made or reached

Every message has the value, where it stood and what was expected. Errors are raised ``from`` their
cause. Classes that only one package raises live in it.
"""

from __future__ import annotations

__all__ = [
    "AgentspecUsageError",
    "ClusterError",
    "MissingExtraError",
    "PeerError",
    "SettingsError",
    "UsageError",
    "WireError",
]


class AgentspecUsageError(Exception):
    """The root: everything that this project raises on purpose."""


class UsageError(AgentspecUsageError):
    """The caller handed in a value that cannot be used."""


class SettingsError(UsageError):
    """A setting is out of range or contradicts another one."""


class MissingExtraError(UsageError):
    """A feature was used whose dependencies are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed: "
            f"run: pip install 'agentspec-usage[{extra}]'"
        )


class PeerError(AgentspecUsageError):
    """Another program sent something that the contract does not allow."""


class WireError(PeerError):
    """Bytes that do not decode.

    ``path`` is where in the document (``models[3].promptTokens``), never a part of its content:
    what a stranger wrote reaches no log and no status.
    """

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path or 'document'}: expected {expected}")
        self.path = path
        self.expected = expected


class ClusterError(AgentspecUsageError):
    """The Kubernetes API server refused, was unreachable, or answered something unexpected."""
