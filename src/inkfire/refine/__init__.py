"""Strategy B's adversary: rounds, forgeries, proposals, acceptance."""
