"""Commands that write evidence, and that check it."""
