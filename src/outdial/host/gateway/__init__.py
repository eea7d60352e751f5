"""The gateway process: the HTTP server in front of the workers."""
