"""Images and files in messages: what goes to the agent, what is told of it, what is refused."""

import base64
import hashlib
import json
from typing import Any

import pytest

from facade.errors import ApiError
from facade.openai.chat_request import read_chat
from facade.openai.enclosures import MOST_BYTES, MOST_FILE_BYTES
from facade.openai.responses_request import read_responses
from facade.openai.start import Asked, Questions, Rules, start_turn

PNG = b"\x89PNG\r\n\x1a\n"
DATA = base64.b64encode(PNG).decode()
URL = f"data:image/png;base64,{DATA}"
DIGEST = hashlib.sha256(DATA.encode()).hexdigest()[:8]
NAME = f"image-{DIGEST}.png"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def file(**fields: Any) -> dict[str, Any]:
    return {"type": "file", "file": fields}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": "look"}, *content]}


def chat(*messages: dict[str, Any]) -> Asked:
    return read_chat(json.dumps({"messages": messages}).encode()).asked


def response(*items: dict[str, Any]) -> Asked:
    return read_responses(json.dumps({"input": items}).encode()).asked


def files(asked: Asked) -> list[tuple[str, str, bytes]]:
    return [(one.filename, one.mime_type, one.data) for one in asked.attachments]


def texts(asked: Asked) -> list[str]:
    return [message.text for message in asked.conversation.messages]


def refused(asked: Any) -> tuple[str | None, str | None]:
    with pytest.raises(ApiError) as raised:
        asked()
    assert raised.value.status == 400
    return raised.value.code, raised.value.param


def test_an_image_of_a_chat() -> None:
    asked = chat(user(image(URL)))
    assert files(asked) == [(NAME, "image/png", PNG)]
    assert texts(asked) == [f"look\n(attached: {NAME})"]
    assert list(start_turn(asked, Rules(), "p", "r").attachments) == list(asked.attachments)


def test_an_image_alone_is_a_message() -> None:
    assert texts(chat({"role": "user", "content": [image(URL)]})) == [f"(attached: {NAME})"]


def test_an_image_of_a_response_in_codexs_frame() -> None:
    """openai-surface.md §6.7: data URLs between two lines of text."""
    content = [
        {"type": "input_text", "text": '<image name=[Image #1] path="a.png">'},
        {"type": "input_image", "image_url": URL, "detail": "high"},
        {"type": "input_text", "text": "</image>"},
        {"type": "input_text", "text": "look"},
    ]
    asked = response({"type": "message", "role": "user", "content": content})
    assert files(asked) == [(NAME, "image/png", PNG)]
    assert texts(asked) == [f'<image name=[Image #1] path="a.png">\n(attached: {NAME})\n</image>\nlook']


@pytest.mark.parametrize("data", [URL, DATA])
def test_files(data: str) -> None:
    """`file_data` is a data: URL or bare base64; of a name only the last part counts."""
    part = {"type": "input_file", "file_data": data, "filename": "../a b/shot.png"}
    for asked in (
        chat(user(file(file_data=data, filename="../a b/shot.png"))),
        response({"role": "user", "content": [{"type": "input_text", "text": "look"}, part]}),
    ):
        assert [(name, content) for name, _, content in files(asked)] == [(f"shot-{DIGEST}.png", PNG)]
        assert texts(asked) == [f"look\n(attached: shot-{DIGEST}.png)"]


def test_only_the_newest_input_is_attached_and_all_of_it_is_told() -> None:
    """An older image is a line, the same as when it was new, so that a history is known again."""
    new = base64.b64encode(b"new").decode()
    first = user(image(URL))
    asked = chat(
        first, {"role": "assistant", "content": "a cat"}, user(image(f"data:image/gif;base64,{new}"))
    )
    assert [content for _, _, content in files(asked)] == [b"new"]
    assert texts(asked)[0] == texts(chat(first))[0]
    asked = chat(first, user())
    assert [content for _, _, content in files(asked)] == [PNG]


def test_two_images_never_look_alike() -> None:
    other = base64.b64encode(b"other").decode()
    asked = chat(user(image(URL), image(f"data:image/png;base64,{other}"), image(URL)))
    assert len(files(asked)) == 2
    assert len(set(texts(asked)[0].splitlines())) == 3


def test_the_result_of_a_clients_tool_may_hold_an_image() -> None:
    call = {"type": "function_call", "name": "view_image", "call_id": "c1", "arguments": "{}"}
    output = [{"type": "input_image", "image_url": URL}]
    asked = response(
        {"role": "user", "content": "look"},
        call,
        {"type": "function_call_output", "call_id": "c1", "output": output},
    )
    assert [content for _, _, content in files(asked)] == [PNG]
    assert texts(asked)[-1] == f"(attached: {NAME})"


def test_an_address_is_handed_on_and_never_fetched() -> None:
    """T-I8: decision 9."""
    for asked in (
        chat(user(image("https://example.com/a.png"))),
        response(
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}
        ),
    ):
        assert not asked.attachments
        assert texts(asked)[0].endswith("(image: https://example.com/a.png)")
    part = {"type": "input_file", "file_url": "http://169.254.169.254/x"}
    assert texts(response({"role": "user", "content": [part]})) == ["(file: http://169.254.169.254/x)"]


def test_an_svg_need_not_be_base64() -> None:
    """RFC 2397."""
    asked = chat(user(image("data:image/svg+xml,%3Csvg%2F%3E")))
    assert [content for _, _, content in files(asked)] == [b"<svg/>"]


HUGE = base64.b64encode(bytes(MOST_FILE_BYTES + 1)).decode()
LARGE = [base64.b64encode(bytes([n]) * (MOST_BYTES // 2 + 1)).decode() for n in range(2)]
C0, C1 = "messages[0].content", "messages[0].content[1]"


@pytest.mark.parametrize(
    ("content", "code", "param"),
    [
        ([image("ftp://example.com/a")], "invalid_value", f"{C1}.image_url"),
        ([image("file:///etc/passwd")], "invalid_value", f"{C1}.image_url"),
        ([image("data:image/png;base64")], "invalid_value", f"{C1}.image_url"),
        ([image("data:image/png;base64,")], "invalid_value", f"{C1}.image_url"),
        ([image("data:image/png;base64,####")], "invalid_value", f"{C1}.image_url"),
        ([image("data:image/png;base64,é")], "invalid_value", f"{C1}.image_url"),
        ([image("https://a\0b")], "invalid_value", f"{C1}.image_url"),
        ([{"type": "image_url"}], "invalid_value", f"{C1}.image_url"),
        ([{"type": "image_url", "image_url": 5}], "invalid_value", f"{C1}.image_url"),
        ([file(filename="a")], "invalid_value", f"{C1}.file"),
        ([file(file_id="file_1")], "unsupported_value", f"{C1}.file.file_id"),
        ([image(f"data:image/png;base64,{HUGE}")], "invalid_value", f"{C1}.image_url"),
        ([image(f"data:,{n}") for n in range(11)], "invalid_value", f"{C0}[11].image_url"),
        ([file(file_data=one) for one in LARGE], "invalid_value", f"{C0}[2].file"),
    ],
)
def test_what_is_refused(content: list[dict[str, Any]], code: str, param: str) -> None:
    assert refused(lambda: chat(user(*content))) == (code, param)


def test_a_system_message_is_text() -> None:
    system = {"role": "system", "content": [image(URL)]}
    assert refused(lambda: chat(system, user())) == ("unsupported_value", "messages[0].content[0]")


def test_names_have_an_end() -> None:
    (name, _, _), *_ = files(chat(user(file(file_data=DATA, filename="é" * 300 + "." + "ü" * 300))))
    assert len(name.encode()) <= 255


@pytest.mark.parametrize("questions", Questions)
def test_questions_by_setting(questions: Questions) -> None:
    """P6.5: HOWLER_QUESTIONS."""
    start = start_turn(chat(user()), Rules(questions=questions), "p", "r")
    assert start.question_policy == {Questions.AUTO: 1, Questions.DECLINE: 2}[questions]
