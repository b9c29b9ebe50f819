"""Tamper evidence, computed: rows as bytes, trees of hashes, a chain of batches, signed heads.

What it proves is that rows which were accepted have not been changed since; not that whoever
reported them told the truth. Pure, but for ``signing``: nothing here knows a database.
"""
