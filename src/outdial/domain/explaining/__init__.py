"""Calling rules put in words and weeks, for pages, commands and imports."""
