"""Turns, owned by the server and not by the RPC that watches them."""
