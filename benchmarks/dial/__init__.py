"""How many contacts per second the dialer claims, places and settles, and what a larger campaign costs it."""
