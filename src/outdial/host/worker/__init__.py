"""The process that runs a function: forked by the zygote, fenced, and serving requests over a socket."""
