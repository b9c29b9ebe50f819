"""The clock, chance, and the form of log lines.

Nothing else reads the clock or draws chance, so that everything above takes both as arguments.
"""
