"""A third party's adapters, for tests; copied into a folder of their own before they are installed."""
