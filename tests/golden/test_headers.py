"""P11: the header profiles are what their goldens say, for each value of HOWLER_UPSTREAM_HEADERS.

The goldens are a person's reading of upstream-protocol §11; tests/e2e/test_grpc_headers.py holds what
arrives at a platform against the same files. Rewritten only with HOWLER_TEST_REWRITE_GOLDENS=1.
"""

import os
from dataclasses import fields

import pytest

from server.upstream.headers import PROFILES, Profiles, spoken
from tests.support import headers

BASE = "https://monkeycode.example:8443/below"
KINDS = [field.name for field in fields(Profiles)]


@pytest.mark.parametrize("setting", PROFILES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_profile_is_its_golden(kind: str, setting: str) -> None:
    """P11"""
    profile = getattr(PROFILES[setting], kind)
    if os.environ.get("HOWLER_TEST_REWRITE_GOLDENS") == "1":
        headers.rewrite(kind, setting, profile)
    assert spoken(profile, BASE) == headers.golden(kind, setting, "https://monkeycode.example:8443")


def test_there_are_no_other_goldens() -> None:
    wanted = {f"{kind}.{setting}" for kind in KINDS for setting in PROFILES}
    assert {path.stem for path in headers.FOLDER.glob("*.json")} == wanted


@pytest.mark.parametrize("setting", PROFILES)
def test_nothing_of_a_session_stands_in_a_profile(setting: str) -> None:
    """The cookie is the call's, and so is what the libraries must say themselves."""
    for kind in KINDS:
        names = {name.lower() for name in getattr(PROFILES[setting], kind)}
        assert not names & {"cookie", "authorization", "host", "content-type", "content-length", "connection"}
        assert not {name for name in names if name.startswith("sec-websocket")}
