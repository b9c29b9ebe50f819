"""How the demo ends: is there one number of each agent, and does it show when one is changed?"""

from __future__ import annotations

import sys

from examples.demo.cast import AGENTS
from examples.demo.chargeback import (
    a_change_is_found,
    months_since,
    nothing_was_changed,
    show_statement,
    stated_until_equal,
)
from examples.demo.comparing import (
    Comparison,
    Totals,
    report,
    said_by_agents,
    said_by_sidecars,
    shown_until_equal,
)
from examples.demo.stage import Stage
from examples.demo.views import WIDE_COMMAND, kubectl_view

__all__ = ["changes_are_found", "numbers_are_equal"]


def numbers_are_equal(stage: Stage, patience: float) -> bool:
    """Whether everybody says the same of each agent; shows what they say.

    The customers leave and the agents end. Waits for ``patience`` seconds where numbers come late.
    """
    stage.customers.leave()
    said, by_sidecars = said_by_agents(stage.pods), said_by_sidecars(stage.pods)
    wanted = {**said, **by_sidecars}
    shown = shown_until_equal(stage.cluster, wanted, patience)
    # Now: an operator that still reads agents which have ended says so.
    print(kubectl_view(stage.cluster, WIDE_COMMAND))
    stage.running.stop()
    stored, billed = stage.control_plane.stored(), stage.provider.bill()
    months, directory = months_since(stage.begin), stage.control_plane.directory
    stated = stated_until_equal(directory, months, wanted, patience)
    show_statement(directory, months)
    comparisons = [
        Comparison(
            agent,
            shown[agent.name],
            billed.get(agent.name),
            said.get(agent.name),
            by_sidecars.get(agent.name),
            stored[agent.name].tokens if agent.name in stored else None,
            stated.by_agent.get(agent.name),
        )
        for agent in AGENTS
    ]
    totals = Totals.of(comparisons, stated.total)
    print(f"{report(comparisons, totals)}\n", flush=True)
    for question in stage.customers.unanswered:
        print(f"a question was not answered: {question}", file=sys.stderr)
    equal = all(one.holds for one in comparisons) and totals.holds
    return equal and not stage.customers.unanswered


def changes_are_found(stage: Stage) -> bool:
    """Whether the database proves to be what was written, and a changed copy does not."""
    directory = stage.control_plane.directory
    unchanged, found = nothing_was_changed(directory), a_change_is_found(directory)
    if unchanged and found:
        print("The database is as it was written, and a change of it is found.")
    else:
        print("VERIFY IS WRONG", file=sys.stderr)
    return unchanged and found
