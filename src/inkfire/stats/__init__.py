"""Intervals, agreement, twins, measures of texts, the audit."""
