"""Budgets: what calls may cost, how much of that is used, and the calls with unknown cost."""
