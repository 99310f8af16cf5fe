"""Measures, intervals and tests: pure functions of arrays (numpy and scipy alone)."""
