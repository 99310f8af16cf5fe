"""The machine a run is on: its memory, and where a result comes from."""
