"""The worker process: forked by the zygote, sandboxed, and serving one function over a socket."""
