"""Listening to live calls: the dialer asks the provider for their sound."""
