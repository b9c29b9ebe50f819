"""What exchanges and tunnels ask of the connection of their client."""

from __future__ import annotations

from typing import Protocol

__all__ = ["ClientSide", "RawSide"]


class RawSide(Protocol):
    """Who hears the bytes of a connection that became a tunnel."""

    def from_client(self, data: bytes) -> None: ...

    def client_gone(self) -> None: ...

    def client_full(self, full: bool) -> None:
        """Whether the client takes no more for now."""
        ...

    def check(self, now: float) -> None: ...

    def cut(self) -> None: ...


class ClientSide(Protocol):
    """The client of one exchange."""

    @property
    def closes_after(self) -> bool:
        """Whether the answer under way is this connection's last."""
        ...

    def send(self, data: bytes) -> None:
        """Collected until ``flush``, so that what arrived together leaves together."""
        ...

    def flush(self) -> None: ...

    def hold_reading(self) -> None: ...

    def go_on_reading(self) -> None: ...

    def answered(self, *, close: bool) -> None:
        """The answer was sent whole. ``close``: the client was told that no other follows."""
        ...

    def broken_off(self, *, clean_end_misleads: bool) -> None:
        """The answer stays incomplete: what came of it is sent, and the end shows that more was
        due. ``clean_end_misleads``: it is framed by the end of the connection, which therefore has
        to be a reset.
        """
        ...

    def become_tunnel(self, tunnel: RawSide) -> bytes:
        """Bytes are handed over as they come; returns those that came already."""
        ...

    def tunnel_over(self) -> None: ...
