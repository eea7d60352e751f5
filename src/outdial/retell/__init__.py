"""Retell AI: the client of its API, the shape of its webhooks and their signature, and a simulator of it."""
