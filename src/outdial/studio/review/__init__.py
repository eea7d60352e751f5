"""Contacts in review, of all campaigns, as a queue."""
