"""A report as one HTML file that needs nothing else, and the check of its numbers."""
