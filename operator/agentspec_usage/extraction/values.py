"""What extraction says of an exchange: the calls in it, and what could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.metering.series import SeriesKey

__all__ = ["NOTHING_READ", "Extraction", "ReadCall"]

_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ReadCall:
    """One model call whose usage was seen.

    ``key`` has the response model, else the request's. ``counts`` hold one call; those of an
    ``ABORTED`` one are what was seen before the stream broke. ``response_id`` is "" unless it can
    name one call among all. ``requests`` are units billed apart from tokens. ``raw`` is the
    provider's usage object as JSON, "" where it exceeds 2 KiB. ``retrievable``: the provider shows
    the same usage again to whoever asks for the response by its id.
    """

    key: SeriesKey
    counts: TokenCounts
    status: CallStatus = CallStatus.OK
    response_id: str = ""
    request_model: str = ""
    requests: Mapping[str, int] = field(default_factory=lambda: _NONE)
    raw: str = ""
    input_includes_cache: bool = True
    retrievable: bool = False

    @property
    def provider_input_tokens(self) -> int:
        """What the provider itself calls input tokens."""
        if self.input_includes_cache:
            return self.counts.input
        return self.counts.input - self.counts.cache_read - self.counts.cache_write


@dataclass(frozen=True, slots=True)
class Extraction:
    """One exchange, read to its end.

    ``unmetered``: a call that must have used tokens shows no usage; ``reason`` says why in words
    that hold no content. ``pending_id``: the call goes on in the background, and a later retrieval
    of this response id shows its usage. ``retrieval``: this exchange read a stored response, whose
    calls count only the first time that their usage is seen (``SeenResponses``).
    ``served_from_cache``: a gateway answered from its cache, the provider used no tokens.
    ``mismatches`` counts usage objects that contradict themselves, ``unknown_fields`` names what is
    in them and has no meaning here.
    """

    calls: tuple[ReadCall, ...] = ()
    unmetered: bool = False
    reason: str = ""
    pending_id: str = ""
    retrieval: bool = False
    served_from_cache: bool = False
    mismatches: int = 0
    unknown_fields: tuple[str, ...] = ()
    response_model: str = ""
    response_bytes: int = 0


NOTHING_READ = Extraction()
