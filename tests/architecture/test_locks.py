"""The locks say what is installed, byte for byte, and not from where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = [pytest.param(path, id=path.name) for path in sorted((ROOT / "requirements").glob("*.txt"))]

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)
_NAME = re.compile(r"^([A-Za-z0-9._-]+)", re.MULTILINE)


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host(lock: Path) -> None:
    found = re.findall(r"\w+://\S*|--(?:extra-)?index-url.*|--find-links.*", lock.read_text())
    assert found == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_has_a_hash(lock: Path) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock.read_text())
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_everything_that_was_asked_for(lock: Path) -> None:
    asked = {_normalised(name) for name in _NAME.findall(lock.with_suffix(".in").read_text())}
    pinned = {_normalised(name) for name, _ in _PIN.findall(lock.read_text())}
    assert asked
    assert asked <= pinned


def test_what_runs_in_the_image_is_what_was_tested() -> None:
    tested = dict(_PIN.findall((ROOT / "requirements" / "dev.txt").read_text()))
    shipped = dict(_PIN.findall((ROOT / "requirements" / "image.txt").read_text()))
    assert shipped
    assert {name: version for name, version in shipped.items() if tested.get(name) != version} == {}


def test_nothing_is_resolved_when_a_lock_is_installed() -> None:
    """Left to resolve, an older pip wants the newest release of what is asked for with an extra."""
    files = [ROOT / "Makefile", ROOT / "operator" / "Dockerfile"]
    lines = [line for path in files for line in path.read_text().splitlines()]
    locked = [line for line in lines if "--require-hashes" in line]
    assert locked
    assert [line for line in locked if "--no-deps" not in line] == []
