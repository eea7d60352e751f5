"""Saved views: the filters and the order of a list, with a name."""
