"""Signed events per second of the webhook function, compared with a Deno and a FastAPI function."""
