"""``token-usage.jsonl``: a line for each call whose usage was read, for tools that follow files."""
