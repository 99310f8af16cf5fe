"""One file per provider and role. Nothing in here imports from `bench`."""
