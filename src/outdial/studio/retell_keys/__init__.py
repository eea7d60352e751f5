"""The API keys of the organization's Retell workspaces."""
