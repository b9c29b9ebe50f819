"""What the two ends of a WebSocket agreed on about compression (RFC 7692, 7.1).

Window sizes need not be known: who decompresses with the largest window reads every smaller one.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Deflate", "agreed_deflate"]


@dataclass(frozen=True, slots=True)
class Deflate:
    """Whether each end compresses a message with what it knows of the ones before."""

    server_keeps_context: bool
    client_keeps_context: bool


def agreed_deflate(extensions: str) -> Deflate | None:
    """From the answer's ``Sec-WebSocket-Extensions``; None where compression was not agreed on."""
    for extension in extensions.split(","):
        name, *parameters = (part.strip().lower() for part in extension.split(";"))
        if name == "permessage-deflate":
            return Deflate(
                server_keeps_context="server_no_context_takeover" not in parameters,
                client_keeps_context="client_no_context_takeover" not in parameters,
            )
    return None
