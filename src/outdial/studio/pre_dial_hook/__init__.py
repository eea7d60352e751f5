"""The pre-dial hook of an organization."""
