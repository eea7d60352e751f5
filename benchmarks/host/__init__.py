"""The function host compared with Deno and uvicorn: cold start, warm latency and requests per second."""
