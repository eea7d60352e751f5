"""Budgets: what calls may cost, checked by claims and shown to members."""
