"""A result on disk: its model, and how it is written and read."""
