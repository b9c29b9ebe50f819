"""Read a target's usage over HTTP: one bounded GET to one address, its outcome as a value."""
