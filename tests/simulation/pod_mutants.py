"""Seeded bugs of the pod's ledger: how two observers of one call are united."""

from __future__ import annotations

from tests.simulation.patching import Mutant, Patch

__all__ = ["POD_MUTANTS"]

_LEDGER = "agentspec_usage.metering.pod_ledger"
_CALLS = "agentspec_usage.metering.pod_calls"

_TOTALS = "        seen = self._entered.join(sum_counts(self._others.values()))\n"

POD_MUTANTS = (
    Mutant(
        "sum observers",
        "pod",
        (Patch(_LEDGER, _TOTALS, _TOTALS.replace("join(", "__add__(")),),
    ),
    Mutant(
        "winner per bucket",
        "pod",
        (
            Patch(_LEDGER, _TOTALS, "        seen = self._won\n"),
            Patch(
                _LEDGER,
                "        self._others = dict(state.others)\n",
                "        self._others = dict(state.others)\n"
                "        nothing = sum_counts(())\n"
                "        self._won, self._bucket = nothing, (nothing, nothing)\n",
            ),
            Patch(
                _LEDGER,
                "        self._raise_upper()\n        return",
                "        seen = self._entered, sum_counts(self._others.values())\n"
                "        pairs = zip(seen, self._bucket, strict=True)\n"
                "        grown = [new.increase_since(old) for new, old in pairs]\n"
                "        self._won += max(grown, key=lambda one: one.total)\n"
                "        self._bucket = seen\n"
                "        self._raise_upper()\n        return",
            ),
        ),
    ),
    Mutant(
        "id-less calls joined by sum",
        "pod",
        (
            Patch(
                _CALLS,
                "        has_call, has_response = kinds\n",
                "        has_call, has_response = kinds\n"
                "        if not has_call and not has_response:\n"
                "            return True\n",
            ),
        ),
    ),
    Mutant(
        "a report enters beside its call",
        "pod",
        (
            Patch(
                _LEDGER,
                "        if not call.entered:\n            self._enter(counted)\n",
                "        self._enter(counted)\n",
            ),
        ),
    ),
    Mutant(
        "an instance shows what the last one showed",
        "pod",
        (Patch(_LEDGER, "                self._before += self.totals\n", ""),),
    ),
    Mutant(
        "a forgotten call was nobody's",
        "pod",
        (Patch(_CALLS, "        return record.at > self.horizon\n", "        return True\n"),),
    ),
)
