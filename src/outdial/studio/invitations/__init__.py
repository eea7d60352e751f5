"""Invitations: admins invite by email address, and users accept or decline."""
