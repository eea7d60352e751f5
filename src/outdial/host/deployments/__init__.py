"""Deployments: store what a client uploads, and serve it on every host of the environment."""
