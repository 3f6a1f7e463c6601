"""Benchmarks of the bridge, compared with a minimal implementation: `make bench` writes REPORT.md."""
