"""The setup of a new campaign in steps, each with a URL of its own."""
