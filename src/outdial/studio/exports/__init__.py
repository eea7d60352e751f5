"""Exports to CSV files."""
