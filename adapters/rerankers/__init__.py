"""Second opinions on candidates."""
