"""Retell AI: the provider and its API client, webhooks and their signatures, and a simulator."""
