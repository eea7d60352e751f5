"""The errors of rule packs."""


class InvalidPack(Exception):
    """A rule pack does not load; the message starts with the file and the line."""
