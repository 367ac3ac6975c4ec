"""PURE: what goes over the platform's wire, read and written as its Go code does."""
