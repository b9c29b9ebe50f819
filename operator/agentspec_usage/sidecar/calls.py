"""What the sidecar's parts tell each other: a request through the proxy, its end, and who hears.

The proxy tells a ``CallMeter`` of every request exactly twice, when it begins and when it is over,
and of the calls on a long connection as they complete. The meter is in the path of model calls, so
it answers at once and raises nothing: a fault of the accounting is shown in the accounting and
breaks no call.

Whoever answers for frames or usage is named here as well, so that the pages of the control port
need nothing of how the ledger is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agentspec_usage.errors import AgentspecUsageError
from agentspec_usage.extraction.request import RequestFacts
from agentspec_usage.extraction.values import Extraction, ReadCall
from agentspec_usage.metering.pod_calls import Now
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.wire.records_answer import RecordsAnswer

__all__ = [
    "Budget",
    "CallMeter",
    "EndedBy",
    "ExchangeObserver",
    "FrameIntake",
    "LedgerFacts",
    "LedgerUnavailableError",
    "ProxiedEnd",
    "ProxiedRequest",
    "Refusal",
    "TotalsSink",
    "UsageView",
]


class EndedBy(StrEnum):
    """What ended an exchange."""

    UPSTREAM = "upstream"
    """The answer came to its end."""
    UPSTREAM_ABORT = "upstream-abort"
    """The upstream broke off, before or within its answer, or answered no HTTP."""
    CLIENT = "client"
    """The client went away."""
    TIMEOUT = "timeout"
    """The upstream kept silent for longer than it may."""
    SHUTDOWN = "shutdown"
    """This program ended first."""
    REFUSED = "refused"
    """The meter refused the request: nothing was sent."""
    UNREACHABLE = "unreachable"
    """No connection to the upstream: nothing was sent."""


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """A request that the proxy is about to forward.

    ``key`` is this exchange's name everywhere, also as ``x-request-id``; ``call_id`` what the SDK
    put on it, "" where there was none. ``path`` is as the client wrote it, without the query, which
    may carry a key. ``facts`` is None where the request is on no surface that is metered.
    """

    key: str
    call_id: str
    method: str
    path: str
    began: Now
    facts: RequestFacts | None = None


@dataclass(frozen=True, slots=True)
class ProxiedEnd:
    """How an exchange ended.

    ``status`` is None where no answer came. ``sent`` says whether anything of the request may have
    reached the upstream: what was never sent used nothing. ``extraction`` is None where nothing was
    read, because the surface is not metered or no answer began. ``ttft_ms`` is the time to the
    first byte of the answer's body.
    """

    status: int | None
    ended_by: EndedBy
    ended: Now
    duration_ms: int
    extraction: Extraction | None = None
    ttft_ms: int | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    sent: bool = True
    injected: bool = False
    """Whether the proxy asked for usage on the client's behalf."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not forwarded. 403 and not 429, which the providers' clients repeat."""

    document: Mapping[str, object]
    status: int = 403


class CallMeter(Protocol):
    """Hears of every request. Synchronous, quick, raises nothing."""

    def begin(self, request: ProxiedRequest) -> Refusal | None:
        """Before anything is sent. After a refusal ``end`` follows too, with ``REFUSED``."""
        ...

    def read(self, request: ProxiedRequest, calls: Sequence[ReadCall]) -> None:
        """Calls that completed on a connection which goes on. They are not told of again in the
        extraction of its end.
        """
        ...

    def end(self, request: ProxiedRequest, end: ProxiedEnd) -> None:
        """Exactly once for each ``begin``."""
        ...


class ExchangeObserver(Protocol):
    """Hears of every request after the ledger did: the audit ring, the usage log, metrics.
    Synchronous, quick, raises nothing.

    ``counted`` are the calls of an exchange that used something of their own: not those whose
    usage was read before (a poll of a response) and counted then.
    """

    def began(self, request: ProxiedRequest) -> None: ...

    def read(self, request: ProxiedRequest, counted: Sequence[ReadCall]) -> None: ...

    def ended(
        self, request: ProxiedRequest, end: ProxiedEnd, counted: Sequence[ReadCall]
    ) -> None: ...


class Budget(Protocol):
    """Whether a request may still be made. Of a refused one no ``settle`` follows."""

    def admit(self, request: ProxiedRequest) -> Refusal | None: ...

    def spend(self, request: ProxiedRequest, counted: Sequence[ReadCall]) -> None:
        """Calls that completed on a connection which goes on."""
        ...

    def settle(
        self, request: ProxiedRequest, end: ProxiedEnd, counted: Sequence[ReadCall]
    ) -> None: ...


class UsageView(Protocol):
    """What is shown of the pod's one ledger."""

    def snapshot(self) -> UsageSnapshot: ...

    def facts(self) -> LedgerFacts: ...


class FrameIntake(Protocol):
    """Takes the frames of the pod's SDKs (``POST /usage/records``)."""

    async def take(self, body: bytes) -> RecordsAnswer:
        """What is durable once this returns: the frames are in the file.

        Raises ``WireError`` for a body that is none, ``LedgerUnavailableError`` (503) where nothing
        can be made durable: the SDK keeps what it has.
        """
        ...


class TotalsSink(Protocol):
    """Takes totals of a source that tells of no single calls, such as model events."""

    def see(self, snapshot: UsageSnapshot) -> None:
        """``snapshot`` is cumulative and names its instance; showing it again does no harm.
        Raises nothing.
        """
        ...


class LedgerUnavailableError(AgentspecUsageError):
    """Nothing can be made durable now. The message is for people."""


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """The ledger's own state, for /health/ready and /metrics.

    ``durable_file`` says whether what is counted survives this process; ``fault`` why not, or what
    went wrong with the file lately. ``backlog`` are calls that the control plane does not have yet;
    None where there is no control plane.
    """

    instance_id: str
    durable_file: bool
    fault: str = ""
    lost_events: int = 0
    """Events that no file has, because it was full or broken: a restart forgets them."""
    file_bytes: int = 0
    open_calls: int = 0
    listed_reports: int = 0
    seq: int = 0
    durable_seq: int = 0
    backlog: int | None = None
    forward_failures: int = 0
    forward_error: str = ""
    """Why nothing goes out now, "" once something did again."""
    source: str = "proxy"
    """Where the counts come from: "proxy", "proxy+sdk", "proxy+agent", "proxy+events", …"""
