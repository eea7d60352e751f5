"""Ends calls that members hang up."""
