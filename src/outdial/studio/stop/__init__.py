"""Stopping all calls of an organization."""
