"""What every status of an AgentObservation has alike, whoever writes it.

The operator writes the objects whose pods it reads, the control plane those of agents that push.
People compare them in one list, so the numbers, the columns, the cost and the conditions have one
form, computed here by pure functions; what is known, and from where, is each program's own.
"""
