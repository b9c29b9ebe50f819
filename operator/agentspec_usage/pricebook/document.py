"""A YAML or JSON text as plain values that remember their lines.

A price book is written by people, and an error in it must say where. So the text is only composed
into nodes, never constructed: scalars stay the text that stands there (a price is never a float on
its way to a Decimal, a date never a local time), and every path has its line. JSON is taken as the
YAML that it nearly is.

Refused: anchors and aliases, which make a short text a large value; a key that stands twice, of
which people would not know which one counts; more than one document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from agentspec_usage.pricebook.errors import PriceBookError

__all__ = ["Document", "read_document"]

MAX_BYTES = 1024 * 1024
"""What a ConfigMap can hold."""

_MAX_DEPTH = 16

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """``value`` of mappings, lists, texts and None; ``lines`` of every path in it, from 1."""

    value: Any
    lines: dict[Path, int]

    def line_of(self, path: Path) -> int:
        """The line of what stands at ``path``, or of the nearest thing around it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def read_document(text: str) -> Document:
    """Raises ``PriceBookError`` with the line."""
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise PriceBookError(1, "", f"at most {MAX_BYTES} bytes")
    if text.lstrip().startswith("{"):
        # JSON may be indented with tabs, YAML not; within a JSON string a tab is an escape.
        text = text.replace("\t", " ")
    try:
        _check_events(text)
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise PriceBookError(line, "", f"YAML or JSON ({error.problem})") from error
    except yaml.YAMLError as error:
        raise PriceBookError(1, "", "YAML or JSON") from error
    if node is None:
        raise PriceBookError(1, "", "a mapping with currency and entries")
    lines: dict[Path, int] = {}
    return Document(_value(node, (), lines), lines)


def _check_events(text: str) -> None:
    """Refuse what makes a value deep or large before any node of it is made."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if getattr(event, "anchor", None) is not None:
            raise PriceBookError(line, "", "no anchors and no aliases")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise PriceBookError(line, "", f"at most {_MAX_DEPTH} levels")


def _value(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    line = node.start_mark.line + 1
    lines[path] = line
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*path, at), lines) for at, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if node.tag == "tag:yaml.org,2002:null":
        return None
    return node.value


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, child in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise PriceBookError(line, "", "a plain word as the key")
        if key.value in found:
            raise PriceBookError(line, key.value, "each key once")
        found[key.value] = _value(child, (*path, key.value), lines)
        lines[(*path, key.value)] = line
    return found
