"""The live page: the calls on the line."""
