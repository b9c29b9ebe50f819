"""Charges in the form of FOCUS 1.2 (FinOps Open Cost and Usage Specification, focus.finops.org).

What is computed here: sums of a day and the price card that they were charged by become rows, one a
token type, exactly (``lines``, ``rows``); what has no price is said beside them (``unpriced``). How
rows are written to a file is not decided here, nor where the sums come from.
"""
