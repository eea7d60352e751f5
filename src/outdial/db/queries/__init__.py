"""Queries by table or noun: SQL, and a generated module for each file."""
