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
        ("store.sql.tail", "if delivered.meet(stood):", "if False:"),
        (
            "store.sql.tail",
            "standing = stood.increase_since(delivered) + moved",
            "standing = stood + moved",
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
            "if not before.covers(told.join(seen)) and (applied + standing).covers(joined):",
            "if not before.covers(told.join(seen)):",
        ),
    ),
    _mutant(
        "a snapshot through a sidecar counts in a heartbeat",
        (
            "store.sql.heartbeats",
            "own = [snapshot for snapshot in snapshots if snapshot.via is None]",
            "own = list(snapshots)",
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
            "new.dated(one.at, one.corrected_at)\n    return",
            "one.at, None, 0\n    return",
        ),
    ),
    _mutant(
        "an estimate moves into a closed period",
        (
            "store.sql.estimates",
            "new.dated(one.at, one.corrected_at)\n    milli",
            "one.at, None, 0\n    milli",
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
            "                deliveries.take_over(of_agent, instance, others)\n",
            """\
                deliveries.take_over(of_agent, instance, others)
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
        "a process is charged under each of its names",
        ("store.sql.names", "if not own and not others:", "if not own:"),
        ("store.sql.names", "found[one] = (own or others)[0]", "found[one] = own[0]"),
    ),
    _mutant(
        "calls are charged beside what was seen under another name",
        (
            "store.sql.frames",
            "                deliveries.take_over(of_agent, instance, others)\n",
            "                pass\n",
        ),
    ),
    _mutant(
        "a tail stays where it was seen",
        (
            "store.sql.tail",
            "            move_tail(connection, loser.number, instance.number)\n",
            "",
        ),
    ),
    _mutant(
        "an estimate moves whole beside the calls that it stands for",
        (
            "store.sql.estimates",
            "if left := counts.increase_since(falls.get(item, ZERO)):",
            "if left := counts:",
        ),
    ),
    _mutant(
        "an instance id proves whose it is",
        (
            "store.sql.names",
            "return known.namespace == one.agent.namespace and (by_operator or"
            " known.runtime == IN_CLUSTER)",
            "return by_operator or known.runtime == IN_CLUSTER",
        ),
    ),
    _mutant(
        "frames take over what another namespace saw",
        (
            "store.sql.names",
            "WHERE instance_id = ? AND namespace = ? AND runtime",
            "WHERE instance_id = ? AND ? <> '' AND runtime",
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
