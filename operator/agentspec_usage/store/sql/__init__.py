"""The store in SQL that two databases understand: written once, run on SQLite and PostgreSQL.

What differs is small and in one place each, a ``Dialect``: how two numbers are compared, how counts
are summed up, how tables are made. The statements are texts and not built by a library, because
those that matter are few, are read by whoever audits the numbers, and lie on the path of every
record.
"""
