"""Messages in, replies out: everything that talks to a model."""
