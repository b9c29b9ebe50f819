"""A text as a cell of a CSV file that people will open in a spreadsheet.

A spreadsheet takes a cell that begins with one of a few characters for a formula, and runs it: an
agent that names its model ``=HYPERLINK(…)`` would write into the accountant's file. Such a text
gets an apostrophe in front, as OWASP says (owasp.org/www-community/attacks/CSV_Injection). Numbers
keep their sign: they are never texts of a stranger. Quotes and line breaks are the CSV writer's.
"""

from __future__ import annotations

__all__ = ["cell"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the full-width forms of the first four, which some spreadsheets fold."""


def cell(text: str) -> str:
    """``text``, which no spreadsheet will run."""
    return f"'{text}" if text.startswith(_FORMULA) else text
