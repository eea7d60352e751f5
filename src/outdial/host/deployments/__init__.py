"""Deployments: from what a client sends to what every host of the environment serves."""
