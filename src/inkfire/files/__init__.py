"""Every data format, JSON Lines, the run folder."""
