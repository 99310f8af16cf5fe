"""Servers on this machine: built, started and stopped for the stores that need one."""
