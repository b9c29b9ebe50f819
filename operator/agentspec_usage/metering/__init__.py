"""Token counts, series, snapshots, the ledger and the checkpoint: pure values and functions.

Nothing here reads a clock, draws chance or does I/O; what depends on them takes them as arguments.
"""
