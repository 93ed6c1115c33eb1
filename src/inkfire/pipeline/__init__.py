"""A recipe's stages in order."""
