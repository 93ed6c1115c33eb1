"""SFT, reward model and GRPO on TRL."""
