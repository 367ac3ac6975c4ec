"""server/store/seal.py: what is sealed opens with its key in its place, and in no other way."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.store.errors import SealError
from server.store.seal import Key, key_id_of

KEY = Key.parse("ab" * 32)
SECRET = "canary-cookie-7f3a"


@given(st.text(), st.text(), st.text())
def test_what_is_sealed_opens(place: str, row_id: str, text: str) -> None:
    assert KEY.open(place, row_id, KEY.seal(place, row_id, text)) == text if text else True


def test_a_seal_shows_nothing_and_is_never_the_same() -> None:
    first, second = (KEY.seal("account.cookie", "acc_1", SECRET) for _ in range(2))
    assert first != second
    assert SECRET.encode() not in base64.b64decode(first.rpartition(".")[2])


def test_a_seal_names_its_format_and_its_key() -> None:
    sealed = KEY.seal("account.cookie", "acc_1", SECRET)
    assert sealed.startswith(f"v1.{KEY.id}.")
    assert key_id_of(sealed) == KEY.id


def test_nothing_is_sealed_as_nothing() -> None:
    assert KEY.seal("account.password", "acc_1", "") == ""


@pytest.mark.parametrize(
    ("place", "row_id"),
    [
        ("account.cookie", "acc_2"),
        ("account.password", "acc_1"),
        ("account.cookie", ""),
        ("account.cookie\0acc", "_1"),
    ],
)
def test_a_seal_that_was_moved_does_not_open(place: str, row_id: str) -> None:
    sealed = KEY.seal("account.cookie", "acc_1", SECRET)
    with pytest.raises(SealError, match="tampered with") as raised:
        KEY.open(place, row_id, sealed)
    assert SECRET not in str(raised.value)


def test_every_bit_matters() -> None:
    head, _, body = KEY.seal("account.cookie", "acc_1", SECRET).rpartition(".")
    raw = base64.b64decode(body)
    for bit in range(len(raw) * 8):
        turned = bytearray(raw)
        turned[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            KEY.open("account.cookie", "acc_1", f"{head}.{base64.b64encode(turned).decode()}")


@pytest.mark.parametrize("body", ["", "AAAA", "not base64", "=", "é"])
def test_a_seal_that_is_none_does_not_open(body: str) -> None:
    with pytest.raises(SealError):
        KEY.open("account.cookie", "acc_1", f"v1.{KEY.id}.{body}")


@pytest.mark.parametrize("text", [SECRET, "v0.abc.def", "v1.abc", "v1.a.b.c", "."])
def test_plain_text_is_never_taken_for_a_seal(text: str) -> None:
    with pytest.raises(SealError) as raised:
        key_id_of(text)
    assert text == "." or text not in str(raised.value)


def test_another_key_does_not_open() -> None:
    with pytest.raises(SealError):
        Key.new().open("account.cookie", "acc_1", KEY.seal("account.cookie", "acc_1", SECRET))


@pytest.mark.parametrize(
    "text",
    [
        "ab" * 32,
        "AB" * 32,
        "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=",
        "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s",
    ],
)
def test_a_key_in_hex_or_base64(text: str) -> None:
    assert Key.parse(text) == KEY


def test_a_key_in_the_alphabet_of_urls() -> None:
    secret = bytes([251, 255] * 16)
    assert Key.parse(base64.urlsafe_b64encode(secret).decode()) == Key.of(secret)


@pytest.mark.parametrize("text", ["", "ab", "ab" * 31, "ab" * 33, "zz" * 32, SECRET, "é" * 64, "q6ur" * 10])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="base64 or hex") as raised:
        Key.parse(text)
    assert not text or text not in str(raised.value)


def test_a_key_is_shown_by_its_id_alone() -> None:
    assert repr(KEY) == f"Key(id='{KEY.id}')"
    assert Key.parse(KEY.spelled) == KEY
    assert KEY.id not in KEY.spelled
