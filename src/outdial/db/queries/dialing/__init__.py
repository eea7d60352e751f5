"""Queries about dialing: the contacts of a campaign one by one, and what decides which of them is called next."""
