"""Budgets of a pod: how many tokens and calls it may use in a day or a month."""
