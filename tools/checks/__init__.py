"""Checks with real processes: killed trainings, real servers."""
