"""Seeded bugs of the SQLite store: what is answered, and what is one transaction."""

from __future__ import annotations

from tests.simulation.patching import Mutant, Patch

__all__ = ["STORE_MUTANTS"]

_SQL = "agentspec_usage.store.sql"


def _mutant(name: str, *patches: tuple[str, str, str]) -> Mutant:
    return Mutant(
        name, "sqlite", tuple(Patch(f"{_SQL}.{module}", *text) for module, *text in patches)
    )


STORE_MUTANTS = (
    _mutant(
        "ack on enqueue, in SQLite",
        (
            "writer",
            '                connection.execute("COMMIT")\n',
            """\
                for future, value in results:
                    future.set_result(value)
                results.clear()
                connection.execute("COMMIT")
""",
        ),
        (
            "writer",
            "            job.result.set_exception(failure)\n",
            """\
            if not job.result.done():
                job.result.set_exception(failure)
""",
        ),
    ),
    _mutant(
        "items without their watermark",
        (
            "frames",
            "    move_watermark(connection, instance.number, verdict.next, now, lost=lost)\n",
            "",
        ),
    ),
    _mutant(
        "what was lost is not stored",
        (
            "frames",
            "        new.add_lost(agent, instance, frame, verdict.missing, skipped)\n",
            "        pass\n",
        ),
    ),
    _mutant(
        "sums of the last frame alone",
        (
            "items",
            "        self._stored.append(Stored(entry.at, *of, values))\n",
            "        self._stored = [Stored(entry.at, *of, values)]\n",
        ),
    ),
)
