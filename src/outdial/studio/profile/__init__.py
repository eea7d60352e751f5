"""The caller of the API."""
