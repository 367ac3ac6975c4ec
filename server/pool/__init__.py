"""The accounts: who may use which one now, and what keeps one from being used."""
