"""What is searched: three tables become a dataset whose parts fit each other."""
