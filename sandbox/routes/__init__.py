"""The platform's HTTP and WebSocket surface, by resource, and the sandbox's own control endpoint."""
