"""A measured system as one stand-alone file, and the proof that the file does what was measured."""
