"""Signals, comparison of policies, and text quality."""
