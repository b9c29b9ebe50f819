"""The audit ring: the newest requests, what the agent's framework told of them, who listens."""
