"""Judging: facts to opinion."""
