"""Commands about the Retell workspaces of organizations."""
