"""What usage costs: money, unit prices, and the charge of a call or a sum. Pure values."""
