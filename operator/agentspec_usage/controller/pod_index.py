"""The pods that are known, found by uid, by name and by selector without looking at each.

Ten thousand pods may share a namespace, and an object's pods are looked up at every tick. So a
label key that a selector asks for gets an index (label value -> pods) when it is first asked for,
which every change keeps up to date. Only keys that are asked for cost memory; the number of keys a
namespace may have indexed is bounded, since tenants write selectors. A selector that names no value
(only ``!=``, ``Exists`` and such) looks at every pod of its namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from agentspec_usage.controller.pods import PodView
from agentspec_usage.controller.selector import Operator, Selector

__all__ = ["PodIndex"]

_MAX_INDEXED_KEYS = 16
_FEW = 32
"""Once this few pods are left, testing them is cheaper than indexing one more key."""


class _Namespace:
    """The pods of one namespace; ``by_label`` is key -> value -> uid -> pod."""

    __slots__ = ("by_label", "by_name", "by_uid")

    def __init__(self) -> None:
        self.by_uid: dict[str, PodView] = {}
        self.by_name: dict[str, PodView] = {}
        self.by_label: dict[str, dict[str, dict[str, PodView]]] = {}

    def put(self, pod: PodView) -> None:
        self.by_uid[pod.uid] = pod
        self.by_name[pod.name] = pod
        for key, values in self.by_label.items():
            _file(values, key, pod)

    def discard(self, pod: PodView) -> None:
        del self.by_uid[pod.uid]
        if self.by_name.get(pod.name) is pod:
            del self.by_name[pod.name]
        for key, values in self.by_label.items():
            value = pod.labels.get(key)
            if value is not None:
                bucket = values[value]
                del bucket[pod.uid]
                if not bucket:
                    del values[value]

    def candidates(self, selector: Selector) -> Iterable[PodView]:
        """All pods that may match: the fewest that an index of one label can narrow them to."""
        fewest: list[dict[str, PodView]] | None = None
        least = len(self.by_uid)
        for requirement in selector.requirements:
            if requirement.operator is not Operator.IN or least <= _FEW:
                continue
            values = self._indexed(requirement.key)
            buckets = [values[value] for value in requirement.values if value in values]
            size = sum(map(len, buckets))
            if fewest is None or size < least:
                fewest, least = buckets, size
        if fewest is None:
            return self.by_uid.values()
        return (pod for bucket in fewest for pod in bucket.values())

    def _indexed(self, key: str) -> dict[str, dict[str, PodView]]:
        values = self.by_label.get(key)
        if values is None:
            if len(self.by_label) >= _MAX_INDEXED_KEYS:
                del self.by_label[next(iter(self.by_label))]
            values = self.by_label[key] = {}
            for pod in self.by_uid.values():
                _file(values, key, pod)
        return values


def _file(values: dict[str, dict[str, PodView]], key: str, pod: PodView) -> None:
    value = pod.labels.get(key)
    if value is not None:
        values.setdefault(value, {})[pod.uid] = pod


class PodIndex:
    """Pods by uid. Not for threads: changed and read on the event loop."""

    def __init__(self) -> None:
        self._pods: dict[str, PodView] = {}
        self._namespaces: dict[str, _Namespace] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[PodView]:
        return iter(self._pods.values())

    def put(self, pod: PodView) -> PodView | None:
        """Take in a new or changed pod; what was known of it before."""
        old = self.remove(pod.uid)
        self._pods[pod.uid] = pod
        namespace = self._namespaces.get(pod.namespace)
        if namespace is None:
            namespace = self._namespaces[pod.namespace] = _Namespace()
        namespace.put(pod)
        return old

    def remove(self, uid: str) -> PodView | None:
        """Forget a pod; what was known of it."""
        pod = self._pods.pop(uid, None)
        if pod is not None:
            namespace = self._namespaces[pod.namespace]
            namespace.discard(pod)
            if not namespace.by_uid:
                del self._namespaces[pod.namespace]
        return pod

    def get(self, uid: str) -> PodView | None:
        return self._pods.get(uid)

    def named(self, namespace: str, name: str) -> PodView | None:
        """The pod that has this name now, or had it last."""
        pods = self._namespaces.get(namespace)
        return pods.by_name.get(name) if pods is not None else None

    def by_namespace(self, namespace: str) -> Mapping[str, PodView]:
        """The pods of a namespace by uid; a live view, to be read before the next ``await``."""
        pods = self._namespaces.get(namespace)
        return MappingProxyType(pods.by_uid if pods is not None else {})

    def select(self, namespace: str, selector: Selector) -> list[PodView]:
        """The pods of a namespace that match, in no order."""
        pods = self._namespaces.get(namespace)
        if pods is None:
            return []
        return [pod for pod in pods.candidates(selector) if selector.matches(pod.labels)]
