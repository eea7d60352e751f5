"""What is checked before a campaign starts: the workspace at the provider, and the variables of its contacts."""
