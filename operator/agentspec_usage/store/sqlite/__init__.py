"""The store's database by default: one SQLite file, which one process has."""
