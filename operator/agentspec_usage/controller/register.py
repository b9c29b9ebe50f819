"""The register of objects: who is there, and which of them select a given pod.

``matching`` answers in the time of a few dictionary look-ups, because it is asked for every pod
event and every pod of every tick: selectors are filed under one of their equalities, and only those
without any are tried in turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentspec_usage.controller.pods import PodView
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.controller.resolution import AGENT_LABEL, Resolution
from agentspec_usage.controller.selector import Operator, Requirement

__all__ = ["Register"]

_Key = tuple[str, str, str]


class Register:
    """All records, by uid, by name and by what they select."""

    def __init__(self) -> None:
        self._records: dict[str, ObservationRecord] = {}
        self._uids: dict[tuple[str, str], str] = {}
        self._filed: dict[str, list[_Key]] = {}
        self._by_key: dict[_Key, set[str]] = {}
        self._unresolved: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[ObservationRecord]:
        return iter(tuple(self._records.values()))

    def get(self, uid: str) -> ObservationRecord | None:
        return self._records.get(uid)

    def named(self, namespace: str, name: str) -> ObservationRecord | None:
        uid = self._uids.get((namespace, name))
        return self._records.get(uid) if uid else None

    def put(self, record: ObservationRecord) -> None:
        """Add a record, or file it anew after its spec or its resolution changed."""
        self._unfile(record.uid)
        self._records[record.uid] = record
        self._uids[(record.namespace, record.name)] = record.uid
        self._file(record)

    def remove(self, uid: str) -> ObservationRecord | None:
        record = self._records.pop(uid, None)
        if record is None:
            return None
        if self._uids.get((record.namespace, record.name)) == uid:
            del self._uids[(record.namespace, record.name)]
        self._unfile(uid)
        self._settle(record)
        return record

    def matching(self, pod: PodView) -> list[ObservationRecord]:
        """The records that select ``pod``, the oldest first: it is the one that counts the pod."""
        candidates: set[str] = set()
        for key, value in pod.labels.items():
            candidates |= self._by_key.get((pod.namespace, key, value), _NONE)
        candidates |= self._by_key.get((pod.namespace, "", pod.name), _NONE)
        candidates |= self._by_key.get((pod.namespace, "", ""), _NONE)
        if not candidates:
            return []
        found = [self._records[uid] for uid in candidates]
        if len(found) == 1 and found[0].resolution is not None and _exact(found[0].resolution):
            return found
        return sorted(
            (record for record in found if _selects(record, pod)), key=lambda r: r.age_rank
        )

    def awaits_elder(self, record: ObservationRecord) -> bool:
        """Whether an older object, which may own the same pods, was not yet resolved."""
        waiting = self._unresolved.get(record.namespace)
        if not waiting:
            return False
        return any(self._records[uid].age_rank < record.age_rank for uid in waiting)

    def _file(self, record: ObservationRecord) -> None:
        keys: list[_Key] = []
        spec = record.spec
        if spec is None or spec.source == "control-plane":
            self._settle(record)
            self._filed[record.uid] = keys
            return
        if record.resolution is None:
            if spec.found_by_label:
                keys.append((record.namespace, AGENT_LABEL, spec.agent_ref.name))
            if record.attempted or spec.suspend:
                self._settle(record)
            else:
                self._unresolved.setdefault(record.namespace, set()).add(record.uid)
        else:
            self._settle(record)
            keys.append(_key(record.namespace, record.resolution))
        for key in keys:
            self._by_key.setdefault(key, set()).add(record.uid)
        self._filed[record.uid] = keys

    def _unfile(self, uid: str) -> None:
        for key in self._filed.pop(uid, ()):
            filed = self._by_key.get(key)
            if filed is not None:
                filed.discard(uid)
                if not filed:
                    del self._by_key[key]

    def _settle(self, record: ObservationRecord) -> None:
        waiting = self._unresolved.get(record.namespace)
        if waiting is not None:
            waiting.discard(record.uid)
            if not waiting:
                del self._unresolved[record.namespace]


_NONE: frozenset[str] = frozenset()


def _key(namespace: str, resolution: Resolution) -> _Key:
    """Where a resolution is filed: one equality of its selector, the pod's name, or the rest."""
    if resolution.selector is None:
        return (namespace, "", resolution.name)
    for requirement in resolution.selector.requirements:
        if _is_equality(requirement):
            return (namespace, requirement.key, requirement.values[0])
    return (namespace, "", "")


def _is_equality(requirement: Requirement) -> bool:
    return requirement.operator is Operator.IN and len(requirement.values) == 1


def _exact(resolution: Resolution) -> bool:
    """Whether being filed under a key of the pod already proves the match."""
    selector = resolution.selector
    if selector is None:
        return True
    return len(selector.requirements) == 1 and _is_equality(selector.requirements[0])


def _selects(record: ObservationRecord, pod: PodView) -> bool:
    resolution = record.resolution
    if resolution is None:
        spec = record.spec
        return (
            spec is not None
            and spec.found_by_label
            and pod.labels.get(AGENT_LABEL) == spec.agent_ref.name
        )
    if resolution.selector is None:
        return pod.name == resolution.name
    return resolution.selector.matches(pod.labels)
