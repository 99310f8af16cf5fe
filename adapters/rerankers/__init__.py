"""Scores of the candidates of a query."""
