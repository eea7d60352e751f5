"""Checks of the promises: evidence from the provider and the database, compared; and the demo."""
