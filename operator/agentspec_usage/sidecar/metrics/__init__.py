"""What the sidecar tells Prometheus. Everything that a stranger could choose is a bounded label."""
