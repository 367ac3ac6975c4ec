"""The models of the pool and what a name means. PURE, but for `cache`."""
