"""Commands for the function host: serving, deploying, logs, secrets, tokens and manifests."""
