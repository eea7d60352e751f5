"""Budgets: what calls may cost, how much of that is used, and the calls whose cost is not known."""
