"""Seeded bugs of counting and delivery."""

from __future__ import annotations

from tests.simulation.patching import Mutant, Patch

__all__ = ["DELIVERY_MUTANTS"]

_METERING = "agentspec_usage.metering"


def _mutant(name: str, *patches: tuple[str, str, str]) -> Mutant:
    return Mutant(
        name, "delivery", tuple(Patch(f"{_METERING}.{module}", *text) for module, *text in patches)
    )


DELIVERY_MUTANTS = (
    _mutant(
        "drain before ack",
        (
            "outbox",
            "        return self._sealed[0] if self._sealed else None\n",
            """\
        if not self._sealed:
            return None
        sealed = self._sealed.popleft()
        self._durable, self._durable_totals = sealed.frame.last, sealed.frame.totals
        return sealed
""",
        ),
    ),
    _mutant(
        "window reset shared between readers",
        (
            "cursor",
            "        since = self.passed\n        if since is None",
            """\
        since = _LAST_READ.get(now.instance_id or "", self.passed)
        _LAST_READ[now.instance_id or ""] = now
        if since is None""",
        ),
        ("cursor", "@dataclass", "_LAST_READ: dict[str, UsageSnapshot] = {}\n\n\n@dataclass"),
    ),
    _mutant(
        "clear everything on ack",
        (
            "outbox",
            "            self._repair = None\n            news = True\n        return news\n",
            """\
            self._repair = None
            news = True
        while news and self._buffer.take() is not None:
            pass
        return news
""",
        ),
    ),
    _mutant(
        "ack on enqueue",
        (
            "receiving",
            "        transaction()\n        return Answers(",
            """\
        try:
            transaction()
        finally:
            return Answers(""",
        ),
        (
            "receiving",
            "dict(self._gaps))\n",
            "dict(self._gaps))  # noqa: B012\n",
        ),
    ),
    _mutant(
        "coalesce sent records",
        (
            "outbox",
            "        if not self._sealed:\n            self._seal_next()\n",
            """\
        stretch = self._buffer.take() if self._sealed else None
        if stretch is not None:
            sent = self._sealed.pop().frame
            merged: dict[SeriesKey, Aggregate] = {}
            for item in sent.items + stretch.items:
                one = merged.get(item.key)
                first = one.from_seq if one else _first_of(item)
                counts = one.counts + item.counts if one else item.counts
                merged[item.key] = Aggregate(first, _last_of(item), 0, item.key, counts)
            items = tuple(merged.values())
            self._sealed.append(self._seal(sent.since, stretch.last, stretch.totals, items))
        if not self._sealed:
            self._seal_next()
""",
        ),
    ),
    _mutant(
        "ignore since",
        (
            "receiving",
            "    if frame.since == durable.seq and (",
            "    if frame.since >= 0 and (",
        ),
    ),
    _mutant(
        "fork keeps totals",
        (
            "ledger",
            "        self._totals = [0] * len(COMPONENTS)\n",
            """        self._totals = getattr(self, "_totals", [0] * len(COMPONENTS))\n""",
        ),
    ),
    _mutant(
        "fork keeps the outbox",
        (
            "outbox",
            "        self._buffer = UnsentBuffer(self._limits)\n",
            """        self._buffer = getattr(self, "_buffer", UnsentBuffer(self._limits))\n""",
        ),
    ),
)
