"""Measures the bridge, side by side with the bare minimum: `make bench` writes REPORT.md."""
