"""The commands. Each file holds one, or a few that belong together; `bench.cli` gathers them."""
