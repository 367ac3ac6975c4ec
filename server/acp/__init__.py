"""PURE: the agent's protocol. Frames of the platform in, typed events out."""
