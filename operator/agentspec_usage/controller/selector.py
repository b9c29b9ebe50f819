"""Label selectors: the object form of a spec, the string form of a status, and matching.

One value for both forms, so that what a status keeps as text selects the same pods as the workload
it came from. ``str`` is canonical (requirements sorted, values sorted): equal selectors have equal
texts, and a text goes through ``Selector.parse`` to the selector it came from. The rules are
Kubernetes' own (``labels.Parse``): ``In`` and ``Exists`` want the key, ``NotIn``, ``!=`` and
``DoesNotExist`` are content with a pod that lacks it. A selector without requirements matches
everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from agentspec_usage.errors import UsageError

__all__ = ["Operator", "Requirement", "Selector"]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
_KEY = re.compile(rf"(?:{_PREFIX}/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
# A comma inside parentheses separates values, one outside separates requirements.
_SEPARATOR = re.compile(r",(?![^()]*\))")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUALITY = re.compile(r"(?P<key>[^=!\s]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^=!\s]*)")


class Operator(StrEnum):
    """The operators of ``matchExpressions``."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One condition on a label. ``values`` are sorted and distinct; none for (not) existing."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise UsageError(f"selector: key {self.key!r}: expected a label key")
        for value in self.values:
            if not _VALUE.fullmatch(value):
                raise UsageError(f"selector: {self.key}: {value!r}: expected a label value")
        wants_values = self.operator in (Operator.IN, Operator.NOT_IN)
        if wants_values != bool(self.values):
            expected = "at least one value" if wants_values else "no values"
            raise UsageError(f"selector: {self.key} {self.operator}: expected {expected}")
        object.__setattr__(self, "values", tuple(sorted(set(self.values))))

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None

    def __str__(self) -> str:
        match self.operator:
            case Operator.IN if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case Operator.IN:
                return f"{self.key} in ({','.join(self.values)})"
            case Operator.NOT_IN if len(self.values) == 1:
                return f"{self.key}!={self.values[0]}"
            case Operator.NOT_IN:
                return f"{self.key} notin ({','.join(self.values)})"
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"


@dataclass(frozen=True, slots=True)
class Selector:
    """All of ``requirements``, sorted and distinct."""

    requirements: tuple[Requirement, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "requirements", tuple(sorted(set(self.requirements))))

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Self:
        """Exactly these labels."""
        return cls(_equalities(labels))

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """A ``metav1.LabelSelector`` as JSON. Raises UsageError for what Kubernetes refuses."""
        labels = spec.get("matchLabels") or {}
        expressions = spec.get("matchExpressions") or ()
        if not isinstance(labels, Mapping):
            raise UsageError("selector: matchLabels: expected an object")
        if not isinstance(expressions, list | tuple):
            raise UsageError("selector: matchExpressions: expected a list")
        return cls((*_equalities(labels), *(_expression(entry) for entry in expressions)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The string form, ``app=web,tier in (a,b),!canary``. Raises UsageError for the rest."""
        parts = [part.strip() for part in _SEPARATOR.split(text)] if text.strip() else []
        return cls(tuple(_parsed(part) for part in parts))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


def _equalities(labels: Mapping[Any, Any]) -> tuple[Requirement, ...]:
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise UsageError(f"selector: matchLabels: {key!r}: expected texts")
    return tuple(Requirement(key, Operator.IN, (value,)) for key, value in labels.items())


def _expression(entry: object) -> Requirement:
    if not isinstance(entry, Mapping):
        raise UsageError("selector: matchExpressions: expected objects")
    key, operator, values = entry.get("key"), entry.get("operator"), entry.get("values") or ()
    if not isinstance(key, str):
        raise UsageError("selector: matchExpressions: key: expected a text")
    if operator not in list(Operator):
        raise UsageError(
            f"selector: matchExpressions: {key}: operator {operator!r}: "
            f"expected one of {', '.join(Operator)}"
        )
    return Requirement(key, Operator(operator), _texts(key, values))


def _texts(key: str, values: Iterable[object]) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise UsageError(f"selector: matchExpressions: {key}: values: expected a list of texts")
    texts = tuple(value for value in values if isinstance(value, str))
    if len(texts) != len(values):
        raise UsageError(f"selector: matchExpressions: {key}: values: expected a list of texts")
    return texts


def _parsed(part: str) -> Requirement:
    if found := _SET.fullmatch(part):
        operator = Operator.IN if found["operator"] == "in" else Operator.NOT_IN
        values = tuple(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], operator, values)
    if found := _EQUALITY.fullmatch(part):
        operator = Operator.NOT_IN if found["operator"] == "!=" else Operator.IN
        return Requirement(found["key"], operator, (found["value"],))
    if part.startswith("!"):
        return Requirement(part[1:].strip(), Operator.DOES_NOT_EXIST)
    return Requirement(part, Operator.EXISTS)
