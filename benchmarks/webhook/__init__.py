"""How many signed events per second the webhook function takes, beside a Deno and a FastAPI function."""
