"""The second pass, live: loads, turns, timings, and what they say."""
