"""Queries over the schema `auth`, which Outdial makes on plain Postgres only."""
