"""The calls on the line, for pages and commands."""
