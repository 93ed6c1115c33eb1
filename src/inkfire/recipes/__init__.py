"""Whole experiments, as data."""
