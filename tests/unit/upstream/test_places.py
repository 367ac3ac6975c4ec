"""Image and host as the platform's own clients pick them (upstream-protocol §4)."""

import pytest

from server.errors import ServiceError
from server.upstream.places import best_host, best_image

PUBLIC = {"type": "public"}


@pytest.mark.parametrize(
    ("images", "chosen"),
    [
        (
            [{"id": "a"}, {"id": "b", "is_default": True}, {"id": "c", "remark": "devbox", "owner": PUBLIC}],
            "c",
        ),
        ([{"id": "a"}, {"id": "b", "is_default": True}, {"id": "c", "remark": "devbox", "owner": None}], "b"),
        ([{"id": "a", "remark": "devbox"}, {"id": "b"}], "a"),
        ([{"id": "a"}, {"id": "b", "remark": "devbox", "owner": "public"}], "b"),
        ([{"id": ""}, {"id": "b"}], "b"),
    ],
)
def test_image(images: list[dict[str, object]], chosen: str) -> None:
    assert best_image(images) == chosen


def test_no_image() -> None:
    with pytest.raises(ServiceError, match="no image"):
        best_image([{"name": "without an id"}])


@pytest.mark.parametrize(
    ("hosts", "subaccounts", "others"),
    [
        ([], "public_host", "public_host"),
        ([("public_host_a_b_c", "online")], "public_host", "public_host"),
        ([("public_host_a_b_c", "online"), ("h", "online")], "h", "public_host"),
        ([("h", "offline"), ("public_host_a_b_c", "offline")], "public_host", "public_host"),
        ([("h", "offline"), ("i", "online"), ("j", "online")], "i", "i"),
        ([("h", "offline")], "public_host", "public_host"),
    ],
)
def test_host(hosts: list[tuple[str, str]], subaccounts: str, others: str) -> None:
    """A masked id is never sent (10205); where no public host is shown there is none."""
    listed = [{"id": host, "status": status} for host, status in hosts]
    assert best_host(listed) == (subaccounts, others)
