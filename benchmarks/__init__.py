"""Benchmarks of Outdial: throughput, latency and memory, compared with other servers on the same machine."""
