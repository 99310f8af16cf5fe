"""Joins the rooms: plans and runs an experiment, goes on after a failure, resumes."""
