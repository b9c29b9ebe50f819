"""Two operators, one object, agents that live and die: totals are what was seen, and true.

Programs of random steps drive the shipped functions beside the truth (``checkpoint_world``).

Programs and not a rule-based state machine: with as many kinds of steps as here nine in ten of its
runs counted nothing at all.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.checkpoint_world import KINDS, Step, World

programs = st.lists(
    st.builds(
        Step, st.sampled_from(KINDS), st.integers(0, 1), st.integers(0, 7), st.integers(1, 9)
    ),
    # Long ones: a lost tombstone shows only after read, fold, write, crash and read again.
    min_size=50,
    max_size=80,
)


@settings(max_examples=150)
@given(programs)
def test_two_operators_count_what_they_saw_and_never_more_than_the_truth(
    program: list[Step],
) -> None:
    world = World()
    for step in program:
        world.run(step)
    world.converge()
