"""The function host beside Deno and beside uvicorn: cold start, warm latency, and requests per second."""
