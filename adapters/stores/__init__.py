"""Engines that search."""
