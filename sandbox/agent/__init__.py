"""PURE: the deterministic agent, a script of steps for every prompt."""
