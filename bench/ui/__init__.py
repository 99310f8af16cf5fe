"""A page in the browser over the same files and the same functions as the commands. It adds no logic of its own."""
