"""The setup of a new campaign in steps, each with its own URL."""
