"""The pre-dial hook: asks a URL of the organization whether calls may be placed."""
