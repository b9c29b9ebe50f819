"""Seeded bugs of the tail: what is charged before it is delivered, and what becomes of that."""

from __future__ import annotations

from tests.simulation.patching import Mutant, Patch

__all__ = ["TAIL_MUTANTS"]

_PACKAGE = "agentspec_usage"


def _mutant(name: str, *patches: tuple[str, str, str]) -> Mutant:
    return Mutant(
        name, "tail", tuple(Patch(f"{_PACKAGE}.{module}", *text) for module, *text in patches)
    )


TAIL_MUTANTS = (
    _mutant(
        "tail billed twice over two closes",
        (
            "store.sql.levels",
            "totals = paths.get(APPLIED, ZERO) + paths.get(ESTIMATED, ZERO)",
            "totals = paths.get(APPLIED, ZERO)",
        ),
    ),
    _mutant(
        "estimates stand beside the calls that they stood for",
        ("store.sql.tail", "if delivered.meet(stood):", "if not joined.covers(told):"),
        (
            "store.sql.tail",
            """\
            joined = told.join(self._told[instance])
            if joined != told:
""",
            """\
            if joined != told:
""",
        ),
        (
            "store.sql.tail",
            "            delivered = sum_counts(cells.values())\n",
            """\
            delivered = sum_counts(cells.values())
            joined = told.join(self._told[instance])
""",
        ),
    ),
    _mutant(
        "a tail of part of what was told",
        (
            "store.sql.tail",
            "joined = level.join(_numbered(connection, dictionaries, one.level, level))",
            "joined = _numbered(connection, dictionaries, one.level, level)",
        ),
    ),
    _mutant(
        "told totals are added up",
        (
            "metering.level",
            "        return Level(self.totals.join(other.totals), cells)",
            "        return Level(self.totals + other.totals, cells)",
        ),
    ),
    _mutant(
        "a frame ends the tail that it only shortens",
        (
            "store.sql.tail",
            "if not before.covers(told) and after.covers(joined):",
            "if not before.covers(told):",
        ),
    ),
    _mutant(
        "a snapshot through a sidecar counts in a heartbeat",
        (
            "store.sql.heartbeats",
            "        if snapshot.via is not None:\n            continue\n",
            "",
        ),
    ),
    _mutant(
        "a snapshot through a sidecar counts in an observation",
        (
            "store.sql.observing",
            "if snapshot.via is None and snapshot.totals:",
            "if snapshot.totals:",
        ),
    ),
    _mutant(
        "readings of a window are added up",
        ("metering.window_levels", "_bounded(known.join(seen))", "_bounded(known + seen)"),
    ),
    _mutant(
        "an estimate in a closed period",
        (
            "store.sql.tail",
            "    at = max(part.bucket, new.closed_until)\n",
            "    at = part.bucket\n",
        ),
    ),
    _mutant(
        "a reversal in a closed period",
        (
            "store.sql.estimates",
            "new.dated(one.at, one.corrected_at)",
            "one.at, None, 0",
        ),
    ),
    _mutant(
        "verifying passes over a raised watermark",
        (
            "store.sql.differences",
            "WHERE instances.seq > coalesce(own.seqs, 0)",
            "WHERE instances.seq < 0",
        ),
    ),
    _mutant(
        "a period is closed and the chain does not say so",
        ("store.sql.periods", "    link_closing(connection, made.hash, now)\n", ""),
    ),
    _mutant(
        "verifying passes over a period that is gone",
        (
            "store.sql.period_checks",
            "in zip_longest(closed, closings):",
            "in zip(closed, closings, strict=False):",
        ),
        (
            "store.sql.period_checks",
            "in zip(written, closings, strict=True):",
            "in zip(written, closings, strict=False):",
        ),
    ),
    _mutant(
        "late usage is nobody's tail",
        ("store.sql.provisional", "late = span.start <= closed", "late = False"),
    ),
    _mutant(
        "a part is taken back at the price of all",
        (
            "store.sql.estimates",
            "milli, pico = split(Money(_cost(one, left) - one.pico))",
            "milli, pico = split(Money(-one.pico))",
        ),
    ),
    _mutant(
        "frames of one request take back the same estimates",
        (
            "store.sql.frames",
            "            lost = _store(connection, new, deliveries, of_agent, frame, verdict,"
            " now)\n",
            """\
            lost = _store(connection, new, deliveries, of_agent, frame, verdict, now)
            deliveries.settle()
            deliveries = Deliveries(new)
""",
        ),
    ),
    _mutant(
        "taken back twice by its own series",
        (
            "metering.tail",
            "            left = left.increase_since(part)\n            own[estimate.key] =",
            "            own[estimate.key] =",
        ),
    ),
    _mutant(
        "the tail of a period has what was seen after it",
        (
            "store.sql.levels",
            "        AND earlier.bucket < ?)\n",
            "        AND earlier.bucket <= ?)\n",
        ),
    ),
)
