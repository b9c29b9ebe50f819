"""Run a machine until an invariant breaks, and say which one and after how many programs."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.simulation.checkpoint_machine import CheckpointMachine, SourceMachine
from tests.simulation.delivery_machine import DeliveryMachine, SqliteMachine
from tests.simulation.laws import Violated
from tests.simulation.operator_machine import OperatorMachine
from tests.simulation.pod_machine import PodMachine
from tests.simulation.seal_machine import SealMachine
from tests.simulation.tail_machine import TailMachine

__all__ = ["MACHINES", "first_violation"]

MACHINES: dict[str, type[RuleBasedStateMachine]] = {
    "delivery": DeliveryMachine,
    "sqlite": SqliteMachine,
    "checkpoint": CheckpointMachine,
    "source": SourceMachine,
    "operator": OperatorMachine,
    "pod": PodMachine,
    "seal": SealMachine,
    "tail": TailMachine,
}

STEPS = {
    "delivery": 30,
    "sqlite": 30,
    "checkpoint": 12,
    "source": 20,
    "operator": 12,
    "pod": 25,
    "seal": 12,
    "tail": 25,
}
"""Rules of one program: as many as the states take that matter."""


def first_violation(machine: str, examples: int) -> tuple[str, int]:
    """The law that broke first, "" for none, and the number of programs that ran.

    A program that the changed source cannot even run counts as killed by ``crash``.
    """
    ran = 0

    tried: Any = MACHINES[machine]

    class Counted(tried):  # type: ignore[misc]
        def __init__(self) -> None:
            nonlocal ran
            ran += 1
            super().__init__()

    profile = settings(
        max_examples=examples,
        stateful_step_count=STEPS[machine],
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Counted, settings=profile)
    except Violated as violation:
        return violation.law, ran
    except FlakyFailure as flaky:
        # A mutant that answers before its commit races with it: once broken is broken.
        laws = [each.law for each in flaky.exceptions if isinstance(each, Violated)]
        return (laws[0] if laws else "crash: FlakyFailure"), ran
    except Exception as error:  # noqa: BLE001 - whatever the changed source does
        return f"crash: {type(error).__name__}", ran
    return "", ran
