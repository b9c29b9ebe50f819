"""Seeded bugs of the operator: the checkpoint, its folds and its writes."""

from __future__ import annotations

from tests.simulation.patching import Mutant, Patch

__all__ = ["STATUS_MUTANTS"]

_METERING = "agentspec_usage.metering"
_CONTROLLER = "agentspec_usage.controller"

_REACHING = "return self if self.last.covers(seen) else Span(self.base, self.last.join(seen))"

STATUS_MUTANTS = (
    Mutant(
        "add instead of max",
        "checkpoint",
        (Patch(f"{_METERING}.meter", _REACHING, "return Span(self.base, self.last + seen)"),),
    ),
    Mutant(
        "trust the last value",
        "checkpoint",
        (Patch(f"{_METERING}.meter", _REACHING, "return Span(self.base, seen)"),),
    ),
    Mutant(
        "fold without tombstone",
        "checkpoint",
        (
            Patch(
                f"{_METERING}.folding",
                "        tombstones[instance_id] = Tombstone(",
                "        _forgotten = Tombstone(",
            ),
        ),
    ),
    Mutant(
        "tombstone without base",
        "checkpoint",
        (
            Patch(
                f"{_METERING}.observing",
                "            meter_from(tombstone.last, snapshot),",
                "            Meter().advance(snapshot),",
            ),
        ),
    ),
    Mutant(
        "precedence switch",
        "source",
        (
            Patch(
                f"{_METERING}.observing",
                "    if pod_uid in cp.sources:\n        return cp\n",
                "    if cp.sources.get(pod_uid) is source:\n        return cp\n",
            ),
        ),
    ),
    Mutant(
        "no precondition on the patch",
        "operator",
        (
            Patch(
                "agentspec_usage.kube.client",
                '            {"op": "replace", "path": "/metadata/resourceVersion",'
                ' "value": resource_version},\n',
                "",
            ),
        ),
    ),
    Mutant(
        "fold on a scrape miss",
        "operator",
        (
            Patch(
                f"{_CONTROLLER}.reconciler",
                "        if health.failures == 0:\n",
                "        record.checkpoint = fold(record.checkpoint, [pod.uid])\n"
                "        if health.failures == 0:\n",
            ),
            Patch(
                f"{_CONTROLLER}.reconciler",
                "from agentspec_usage.metering.checkpoint import (\n",
                "from agentspec_usage.metering.checkpoint import (\n    fold,\n",
            ),
        ),
    ),
    Mutant(
        "pod list older than the status",
        "operator",
        (
            Patch(
                f"{_CONTROLLER}.rereading",
                "        gone = await self._gone(record, suspects)\n",
                "        gone = set(suspects)\n",
            ),
        ),
    ),
    Mutant(
        "seal of any object",
        "seal",
        (
            Patch(
                "agentspec_usage.wire.writer_state_seal",
                "(_PURPOSE, uid.encode(), ",
                "(_PURPOSE, ",
            ),
        ),
    ),
    Mutant(
        "seal not compared",
        "seal",
        (
            Patch(
                f"{_CONTROLLER}.notes",
                "        if seal is not None and key is not None:\n",
                "        if seal is not None and key is not None:\n            return ''\n"
                "        if seal is not None and key is not None:\n",
            ),
        ),
    ),
    Mutant(
        "a stripped seal is believed",
        "seal",
        (
            Patch(
                f"{_CONTROLLER}.notes",
                "        if resource_version <= self._since:\n",
                "        if seal is None or resource_version <= self._since:\n",
            ),
        ),
    ),
    Mutant(
        "a rotation begins anew",
        "seal",
        (
            Patch(
                f"{_CONTROLLER}.sealing_since",
                "        elif noted is not None and keys.named(noted.key_id) is not None:\n",
                "        elif noted is not None and noted.key_id == keys.current.id:\n",
            ),
        ),
    ),
    Mutant(
        "a lost key disowns everything",
        "seal",
        (
            Patch(
                f"{_CONTROLLER}.sealing_since",
                "        elif noted is not None and keys.named(noted.key_id) is not None:\n",
                "        elif noted is not None:\n",
            ),
        ),
    ),
)
