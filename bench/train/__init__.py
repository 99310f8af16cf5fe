"""Data for training models."""
