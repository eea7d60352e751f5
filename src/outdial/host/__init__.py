"""Runs functions: a gateway in front, workers forked per function behind, and limits between them."""
