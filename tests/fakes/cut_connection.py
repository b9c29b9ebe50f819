"""A way to a server on which a conversation ends at a chosen word."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

__all__ = ["CutConnection", "cut_connection"]

_NAME = ".s.PGSQL.5432"


class CutConnection:
    """Passes everything on, until what a client says has the words that it was told to listen for.

    Then the words are passed on or not, and they are never answered: the connection is gone, or
    silent until the client goes.
    """

    def __init__(self, directory: Path, server: Path) -> None:
        self.directory = directory
        self.server = server
        self._words = self._after = b""
        self._pass_on = self._silently = False
        self.happened = Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / _NAME))
        self._listener.listen()
        Thread(target=self._accept, daemon=True).start()

    def cut_at(
        self, words: bytes, *, pass_on: bool, after: bytes = b"", silently: bool = False
    ) -> None:
        """Once, when ``words`` are said next on a connection on which ``after`` was said from now
        on; ``pass_on`` says whether the server hears them.
        """
        self.happened.clear()
        self._pass_on, self._silently, self._after = pass_on, silently, after
        self._words = words

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self.server / _NAME))
                silent = Event()
                Thread(target=self._say, args=(client, server, silent), daemon=True).start()
                Thread(target=self._answer, args=(server, client, silent), daemon=True).start()

    def _say(self, client: socket.socket, server: socket.socket, silent: Event) -> None:
        heard = b""
        with _both_end(client, server):
            while said := client.recv(65536):
                if self._words and self._after in said:
                    heard = self._words
                cut = bool(heard) and heard == self._words and heard in said
                if cut:
                    self._words = b""
                    silent.set()
                if not cut or self._pass_on:
                    server.sendall(said)
                if cut:
                    self.happened.set()
                    if not self._silently:
                        return

    def _answer(self, server: socket.socket, client: socket.socket, silent: Event) -> None:
        with _both_end(server, client):
            while said := server.recv(65536):
                if not silent.is_set():
                    client.sendall(said)


@contextmanager
def _both_end(own: socket.socket, other: socket.socket) -> Iterator[None]:
    with suppress(OSError):
        yield
    for end in (own, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    own.close()


@contextmanager
def cut_connection(server: Path) -> Iterator[CutConnection]:
    """A way to the server whose socket is in the directory ``server``."""
    directory = Path(tempfile.mkdtemp(prefix="cut-"))
    connection = CutConnection(directory, server)
    try:
        yield connection
    finally:
        connection.close()
        shutil.rmtree(directory)
