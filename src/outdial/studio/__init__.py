"""The studio: a JSON API under /api/v1, and server-rendered pages, over the same operations and the same rights."""
