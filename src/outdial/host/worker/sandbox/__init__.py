"""Linux sandboxing through ctypes: system calls, files, and privileges."""
