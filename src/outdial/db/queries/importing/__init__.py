"""Uploads of files to import."""
