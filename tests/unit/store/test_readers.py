"""A read sees one moment of the store, however many statements it is made of."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event

from agentspec_usage.store.sqlite.opening import open_writer, prepare
from agentspec_usage.store.sqlite.readers import Readers

COUNT = "SELECT count(*) FROM catalogues"


def test_what_is_committed_during_a_read_is_not_in_it(database: Path) -> None:
    prepare(database)
    looked, committed = Event(), Event()

    def twice(connection: sqlite3.Connection) -> tuple[int, int]:
        first = connection.execute(COUNT).fetchone()[0]
        looked.set()
        assert committed.wait(10)
        return first, connection.execute(COUNT).fetchone()[0]

    readers = Readers(database)
    try:
        reading = readers.submit(twice)
        assert looked.wait(10)
        with closing(open_writer(database)) as writer:
            writer.execute("INSERT INTO catalogues (version) VALUES ('new')")
        committed.set()
        assert reading.result(10) == (0, 0)
        assert readers.submit(lambda c: c.execute(COUNT).fetchone()[0]).result(10) == 1
    finally:
        readers.stop()
