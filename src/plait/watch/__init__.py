"""Observers of a run: they see events, and nothing below knows that they exist."""
