"""server/store/keyring.py: which keys a process has, and what it says of wrong ones."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.store.errors import SealError
from server.store.keyring import GivenKeys, KeyFile, KeyRing
from server.store.seal import Key
from tests.support.keys import KEYS, ring

PLACE = "account.cookie", "acc_1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "howler.key"


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_is_made_once_and_is_private(path: Path) -> None:
    (first,) = KeyFile(path).found()
    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == 0o700
    assert KeyFile(path).found() == [first]
    assert [entry.name for entry in path.parent.iterdir()] == ["howler.key"]


def test_reading_makes_no_file(path: Path) -> None:
    assert KeyFile(path).read() == []
    assert not path.exists()


def test_all_who_make_the_file_at_once_get_the_same_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: KeyFile(path).found(), range(32)))
    assert len({key.id for keys in made for key in keys}) == 1


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o644, 0o666])
def test_a_file_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    KeyFile(path).found()
    path.chmod(mode)
    with pytest.raises(SealError, match=f"^HOWLER_SECRETS_KEY_FILE.*chmod 600 {path}$"):
        KeyFile(path).found()


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_file_of_an_operator(path: Path, mode: int) -> None:
    path.parent.mkdir()
    path.write_text(f"# mine\n\n  {KEYS[1]}\n{KEYS[0]}  \n")
    path.chmod(mode)
    assert KeyFile(path).read() == [Key.parse(KEYS[1]), Key.parse(KEYS[0])]


@pytest.mark.parametrize("text", ["", "# none\n", "canary\n", f"{KEYS[0]}\ncanary\n", "é\n"])
def test_a_file_without_a_key(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SealError, match=r"^HOWLER_SECRETS_KEY_FILE") as raised:
        KeyFile(path).found()
    assert "canary" not in str(raised.value)
    assert KEYS[0] not in str(raised.value)


def test_a_file_where_none_can_be(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    with pytest.raises(SealError, match=r"^HOWLER_SECRETS_KEY_FILE"):
        KeyFile(tmp_path / "var" / "howler.key").found()
    with pytest.raises(SealError, match=r"^HOWLER_SECRETS_KEY_FILE"):
        KeyFile(Path("/proc/howler.key")).found()
    with pytest.raises(SealError, match=r"^HOWLER_SECRETS_KEY_FILE"):
        KeyFile(tmp_path).found()


@pytest.mark.parametrize("setting", ["", ",", KEYS[0] + ",", "canary", f"{KEYS[0]},canary"])
def test_a_setting_without_a_key(setting: str) -> None:
    with pytest.raises(SealError, match=r"^HOWLER_SECRETS_KEY: ") as raised:
        GivenKeys(setting)
    assert "canary" not in str(raised.value)


def test_a_new_database_is_sealed_with_the_first_key() -> None:
    keys = ring(KEYS[1], KEYS[0])
    check = keys.admit(None)
    assert keys.sealing(check) == Key.parse(KEYS[1])


def test_the_database_says_which_key_seals_and_all_open() -> None:
    """So a replica that is told of a new key first does not seal what the others cannot open."""
    check = ring(KEYS[0]).admit(None)
    sealed = Key.parse(KEYS[1]).seal(*PLACE, "cookie")
    both = ring(KEYS[1], KEYS[0])
    assert both.admit(check) == check
    assert both.sealing(check) == Key.parse(KEYS[0])
    assert both.open(*PLACE, sealed) == "cookie"


def test_a_wrong_key_is_told_by_its_id() -> None:
    check = ring(KEYS[0]).admit(None)
    wrong = ring(KEYS[1])
    with pytest.raises(SealError, match=r"^HOWLER_SECRETS_KEY does not hold the key") as raised:
        wrong.admit(check)
    assert Key.parse(KEYS[0]).id in str(raised.value)
    assert Key.parse(KEYS[1]).id in str(raised.value)
    assert not any(key in str(raised.value) for key in KEYS)


def test_a_check_value_that_was_forged() -> None:
    head, _, body = ring().admit(None).rpartition(".")
    with pytest.raises(SealError, match="tampered with"):
        ring().admit(f"{head}.{body[::-1]}")


def test_no_file_is_made_where_the_database_has_a_key_already(path: Path) -> None:
    check = ring().admit(None)
    with pytest.raises(SealError, match=r"^HOWLER_SECRETS_KEY_FILE \(.*howler\.key\) does not hold the key"):
        KeyRing(KeyFile(path)).admit(check)
    assert not path.exists()


def test_a_key_that_was_added_to_the_file_is_found(path: Path) -> None:
    file = KeyFile(path)
    keys = KeyRing(file)
    first = keys.sealing(keys.admit(None))
    second = Key.new()
    file.replace([second, first])
    assert mode_of(path) == 0o600
    assert keys.open(*PLACE, second.seal(*PLACE, "cookie")) == "cookie"
    file.replace([second])
    assert keys.open(*PLACE, first.seal(*PLACE, "cookie")) == "cookie", "what was known is not forgotten"
    with pytest.raises(SealError):
        KeyRing(file).open(*PLACE, first.seal(*PLACE, "cookie"))


def test_one_rotates_at_a_time(path: Path) -> None:
    file = KeyFile(path)
    file.found()
    with file.alone(), pytest.raises(SealError, match="another `secrets rotate`"), KeyFile(path).alone():
        pass
    with KeyFile(path).alone():
        pass


def test_what_a_killed_rotation_left_is_removed_by_the_next(path: Path) -> None:
    """A draft holds keys: none lies about."""
    file = KeyFile(path)
    file.found()
    (path.parent / ".howler.key.draft-0123").write_text(KEYS[0])
    with file.alone():
        file.replace([Key.new()])
    assert [entry.name for entry in path.parent.iterdir()] == ["howler.key"]
