"""PURE: what of a conversation an agent is told."""
