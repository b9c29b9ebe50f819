"""Agents as their developers write them, for the servers of the tests to serve."""
