"""A retrieval benchmark harness built around vector databases."""
