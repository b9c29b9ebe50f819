"""Sample agents: small real processes to run in the demo and to copy from.

What an agent of yours needs is in ``agent.py``: a ledger, one line at each model call, one answer.
"""
