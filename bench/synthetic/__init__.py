"""Synthetic queries: written by a generator for documents, cleaned, and held to what finds these documents."""
