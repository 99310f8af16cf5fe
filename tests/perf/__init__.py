"""Benchmarks of the harness itself: scripts, which pytest does not collect."""
