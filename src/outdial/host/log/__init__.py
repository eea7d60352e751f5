"""The log of functions: collected, buffered, written to Postgres and removed in time."""
