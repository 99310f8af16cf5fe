"""Two results side by side: gains and losses, what differs between them, and a gate for continuous integration."""
