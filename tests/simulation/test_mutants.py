"""Every seeded bug is noticed, and a bug whose place has moved is not passed over in silence."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, judge
from tests.simulation.patching import Patch, StaleMutant, patched


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in MUTANTS])
def test_a_seeded_bug_breaks_an_invariant(name: str) -> None:
    verdict = judge(name)
    assert verdict.killed
    assert not verdict.law.startswith("crash")


def test_a_mutant_whose_text_is_not_there_is_an_error() -> None:
    with pytest.raises(StaleMutant, match="found 0 times"):
        patched("one = 1\n", [Patch("module", "two", "three")])


def test_a_mutant_whose_text_is_there_twice_is_an_error() -> None:
    with pytest.raises(StaleMutant, match="found 2 times"):
        patched("one = 1\none = 1\n", [Patch("module", "one", "two")])
