"""Strategy A: five agents debate candidates; verdicts become preference pairs."""
