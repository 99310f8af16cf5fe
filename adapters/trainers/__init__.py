"""Trainers: recipes by which models learn."""
