"""What the Linux kernel offers to fence a process in, reached by ctypes: system calls, files, and privileges."""
