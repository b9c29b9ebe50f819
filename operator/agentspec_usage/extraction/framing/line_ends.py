"""The three line ends of server-sent events, made one."""

from __future__ import annotations

__all__ = ["LineEnds"]


class LineEnds:
    """Makes every line end LF. A CR ends its line at once, so an LF right after it is left out."""

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def made_lf(self, data: bytes) -> bytes:
        """The next bytes of a stream, with LF at the end of each line."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data
