"""server/parts.py: where the key comes from, by the settings."""

from pathlib import Path

import pytest

from server.config import Misconfigured, Settings
from server.parts import keys_of
from server.store.errors import StoreError
from server.store.keyring import GivenKeys
from server.store.seal import Key
from tests.support.keys import KEYS


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's settings and `.env` away."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"HOWLER_{name.upper()}", raising=False)


def said(**settings: str) -> Settings:
    return Settings.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"database_url": "sqlite:///var/howler.db"}, "HOWLER_SECRETS_KEY_FILE (var/howler.key)"),
        ({"database_url": "sqlite:////srv/one.db"}, "HOWLER_SECRETS_KEY_FILE (/srv/one.key)"),
        ({"database_url": "postgresql://u:canary@host/db"}, "HOWLER_SECRETS_KEY_FILE (var/howler.key)"),
        ({"secrets_key_file": "/run/key"}, "HOWLER_SECRETS_KEY_FILE (/run/key)"),
        ({"secrets_key": KEYS[0]}, "HOWLER_SECRETS_KEY"),
    ],
)
def test_where_the_key_comes_from(settings: dict[str, str], where: str) -> None:
    assert keys_of(said(**settings)).where == where


def test_a_ring_of_keys() -> None:
    keys = keys_of(said(secrets_key=f"{KEYS[0]}, {Key.parse(KEYS[1]).spelled}"))
    assert isinstance(keys, GivenKeys)
    assert keys.read() == [Key.parse(KEYS[0]), Key.parse(KEYS[1])]


@pytest.mark.parametrize("settings", [{"secrets_key": "canary"}, {"secrets_key": f"{KEYS[0]},canary"}])
def test_a_setting_that_is_no_key(settings: dict[str, str]) -> None:
    with pytest.raises(StoreError, match=r"^HOWLER_SECRETS_KEY: ") as raised:
        keys_of(said(**settings))
    assert "canary" not in str(raised.value)


def test_two_places_for_one_key() -> None:
    with pytest.raises(Misconfigured, match=r"^HOWLER_SECRETS_KEY and HOWLER_SECRETS_KEY_FILE"):
        keys_of(said(secrets_key=KEYS[0], secrets_key_file="/run/key"))
