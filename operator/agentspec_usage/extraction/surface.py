"""An API surface: one API of one provider, and what must be known of it to read its usage."""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.extraction.reading import Dialect
from agentspec_usage.extraction.response_ids import unique_response_id

__all__ = ["Surface"]


@dataclass(frozen=True, slots=True)
class Surface:
    """``name`` is the API's (``openai.chat``), ``operation`` OpenTelemetry's name of what it does.

    ``unique_ids``: whether its response ids can name one call among all. ``include_usage``: whether
    a stream shows usage only to those who ask with ``stream_options``. ``retrievable``: whether
    responses can be read again by their id; ``stored``: whether they are kept unless the request
    says otherwise. ``lines``: whether its streams are lines of JSON.
    """

    name: str
    operation: str
    dialect: Dialect
    unique_ids: bool = True
    include_usage: bool = False
    retrievable: bool = False
    stored: bool = False
    lines: bool = False

    def id_of(self, response_id: object) -> str:
        """``response_id`` where it can name one call among all, else ""."""
        return unique_response_id(response_id) if self.unique_ids else ""
