"""Where others reach a server."""

import pytest

from server.rpc.listening import reachable_at


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1:5"),
        ("10.1.2.3", "10.1.2.3:5"),
        ("server-2.internal", "server-2.internal:5"),
        ("fd00::1", "[fd00::1]:5"),
        ("0.0.0.0", ""),
        ("::", ""),
    ],
)
def test_a_server_is_reached_where_it_listens_unless_that_is_anywhere(host: str, address: str) -> None:
    assert reachable_at(host, 5) == address
