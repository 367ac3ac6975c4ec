"""A stand-in for the MonkeyCode backend on loopback, with a deterministic agent."""
