"""A report before it has a form: what it says, each number with its path in the result."""
