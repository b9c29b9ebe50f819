"""What a response, or the events of a stream, say of one call's usage. Pure.

A reading is filled as the call goes on: a whole response fills it at once, a stream event by event.
Later events win over earlier ones field by field and nothing is ever added up, because what
providers repeat in a stream is cumulative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agentspec_usage.extraction.measured import Measured

__all__ = ["Dialect", "Reading"]


@dataclass(slots=True)
class Reading:
    """``usage`` is the provider's usage object, the latest or what was merged of several.

    ``complete`` says that the provider's last word on usage was seen, ``pending`` that it will be
    said elsewhere: the response is worked on in the background. ``finished`` says that the model
    stopped, which some servers tell before they tell the usage. ``headers`` are those of the
    response, names in lower case; few APIs say anything there.
    """

    usage: object = None
    response_id: str = ""
    model: str = ""
    service_tier: str = ""
    region: str = ""
    requests: Mapping[str, int] = field(default_factory=dict)
    complete: bool = False
    pending: bool = False
    finished: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def name(self, response_id: object, model: object) -> None:
        """Take over what the provider calls the response and the model; nothing erases a name."""
        if isinstance(response_id, str) and response_id:
            self.response_id = response_id
        if isinstance(model, str) and model:
            self.model = model


class Dialect(Protocol):
    """How one API's responses and the events of its streams are read."""

    @property
    def wanted(self) -> frozenset[str]:
        """The members of a response, or of an event, that are read: paths of keys joined by dots,
        through arrays as well. Everything else in it may be skipped.
        """
        ...

    @property
    def fields(self) -> frozenset[str]:
        """The members of a usage object that have a meaning here, or are known to need none."""
        ...

    def concerns(self, event: bytes, reading: Reading) -> bool:
        """Whether an event, not yet parsed, may say something that ``reading`` lacks.

        Nearly all of a stream is text of the model's, so a search of bytes stands before parsing.
        It may say yes too often, never no wrongly.
        """
        ...

    def response(self, reading: Reading, response: object) -> None:
        """Fill ``reading`` from a whole response."""
        ...

    def event(self, reading: Reading, event: object) -> None:
        """Fill ``reading`` from one event of a stream."""
        ...

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        """What was used: usually one; none where no usage was seen. May raise WireError."""
        ...
