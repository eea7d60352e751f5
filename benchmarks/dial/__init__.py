"""Calls per second that the dialer claims, places and settles, and the cost of larger campaigns."""
