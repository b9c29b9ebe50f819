"""A module has one topic, is read in a sitting, and says first what it decides."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_LINES = 400

SOURCES = sorted(
    path
    for directory in ("operator", "bench", "examples", "charts")
    for path in (ROOT / directory).rglob("*.py")
)


def _parameters(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def test_there_are_sources_to_look_at() -> None:
    assert len(SOURCES) > 50


@pytest.mark.parametrize("path", _parameters(SOURCES))
def test_a_module_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", _parameters(SOURCES))
def test_a_module_begins_with_what_it_decides(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", _parameters(SOURCES))
def test_a_module_is_not_named_for_nothing(path: Path) -> None:
    assert not {"manager", "helper", "helpers", "utils", "common"} & set(path.stem.split("_"))
