"""From each provider's usage object to canonical counts: one function an API."""
