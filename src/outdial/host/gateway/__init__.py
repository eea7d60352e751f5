"""The gateway process: HTTP in front of the functions."""
