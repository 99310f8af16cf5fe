"""Two results side by side, and the gate."""
