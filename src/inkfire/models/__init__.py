"""What runs on this machine, and names → models."""
