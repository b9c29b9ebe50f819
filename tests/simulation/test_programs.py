"""No program of faults that Hypothesis can write breaks an invariant.

``HYPOTHESIS_PROFILE=soak`` runs a hundred times as many.
"""

from __future__ import annotations

import os
from unittest import TestCase

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine

from tests.simulation.checkpoint_machine import CheckpointMachine, SourceMachine
from tests.simulation.delivery_machine import DeliveryMachine, SqliteMachine
from tests.simulation.operator_machine import OperatorMachine
from tests.simulation.pod_machine import PodMachine
from tests.simulation.seal_machine import SealMachine
from tests.simulation.tail_machine import TailMachine
from tests.simulation.trial import STEPS

TIMES = 100 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 1


def programs(name: str, machine: type[RuleBasedStateMachine], examples: int) -> type[TestCase]:
    case: type[TestCase] = machine.TestCase
    case.settings = settings(  # type: ignore[attr-defined]
        max_examples=examples * TIMES,
        stateful_step_count=STEPS[name],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    return case


TestAgentsAndTheStore = programs("delivery", DeliveryMachine, 400)
TestAgentsAndTheSqliteStore = programs("sqlite", SqliteMachine, 150)
TestSidecarAndSdk = programs("pod", PodMachine, 400)
TestTwoStaleCheckpoints = programs("checkpoint", CheckpointMachine, 60)
TestTwoEndpointsOfAPod = programs("source", SourceMachine, 100)
TestSealsAndForgers = programs("seal", SealMachine, 200)
TestTailsAndPeriods = programs("tail", TailMachine, 100)
TestTwoOperators = programs("operator", OperatorMachine, 20)
