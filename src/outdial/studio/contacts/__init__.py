"""Contacts of an organization."""
