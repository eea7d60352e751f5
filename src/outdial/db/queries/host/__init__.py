"""Queries over the schema `host`: what the function host stores."""
