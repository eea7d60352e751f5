"""Functions of the environment, for platform operators."""
