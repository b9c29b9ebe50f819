"""What can go wrong with a development cluster, split by what the reader has to do about it.

.. code-block:: text

    AgentspecUsageError
    └── DevclusterError
        ├── ToolchainError   no usable Go, and none could be fetched
        ├── RoomError        too little disk or memory to build; names found and needed
        ├── BuildError       a build ran and failed; names the command and its last lines
        ├── StartError       a server did not come up; has its last words
        ├── NotRunningError  there is no cluster where one was asked for
        └── CommandError     kubectl or helm ended with an error; has its exit code and output
"""

from __future__ import annotations

from agentspec_usage.errors import AgentspecUsageError

__all__ = [
    "BuildError",
    "CommandError",
    "DevclusterError",
    "NotRunningError",
    "RoomError",
    "StartError",
    "ToolchainError",
]


class DevclusterError(AgentspecUsageError):
    """The development cluster could not do what it was asked to."""


class ToolchainError(DevclusterError):
    """No Go of the right version on this machine, and none could be installed."""


class RoomError(DevclusterError):
    """The machine has too little disk or memory for a build."""


class BuildError(DevclusterError):
    """Go could not build a program."""


class StartError(DevclusterError):
    """A server of the cluster did not start, or ended by itself."""


class NotRunningError(DevclusterError):
    """The directory holds no running cluster."""


class CommandError(DevclusterError):
    """A command against the cluster ended with an error."""

    def __init__(self, command: str, code: int, output: str) -> None:
        super().__init__(f"{command}: exit code {code}\n{output.rstrip()}")
        self.command = command
        self.code = code
        self.output = output
