"""Queries about who may be called: pre-dial hooks, and opt-outs at the provider."""
