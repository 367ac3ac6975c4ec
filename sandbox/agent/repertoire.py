"""All that the agent can play."""

from sandbox.agent import acts
from sandbox.agent.plays import REPERTOIRE, boot_fails, boot_seconds

assert acts.REPERTOIRE is REPERTOIRE  # importing a module of plays adds them

__all__ = ["REPERTOIRE", "boot_fails", "boot_seconds"]
