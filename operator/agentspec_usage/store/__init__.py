"""The usage store: what agents reported, once each, durable before it is acknowledged."""
