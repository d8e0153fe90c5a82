"""Clocks of a few lines: list what is due and start one process each."""
