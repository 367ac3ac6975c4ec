"""Every row of the platform's error table (upstream-protocol §1.4), provoked at the sandbox.

Each code is answered to the create of a turn, over gRPC and over HTTP: what callers are told, and what
becomes of the account (issue 4; field-notes §6, the failure classes).
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from howler.pool.v1 import pool_service_pb2 as pb
from howler.pool.v1.cooldown_pb2 import CooldownScope
from howler.task.v1.start_turn_pb2 import TaskRetention
from howler.task.v1.task_event_pb2 import EndReason

from server.upstream.errors import CODES
from tests.support.front import CHAT, Front, chat_body, told
from tests.support.howler import Howler, accounts_file, reason_of
from tests.support.sandbox import accounts

CREATE = "/api/v1/users/tasks"
STOP = TaskRetention.TASK_RETENTION_STOP
TRIPS = 5  # failures of the platform in a row that cool it

TABLE = """
UPSTREAM_REJECTED       INVALID_ARGUMENT     400  nothing   400 10007 10102 10200 10203 10232 10300 10301
UPSTREAM_REJECTED       INVALID_ARGUMENT     400  nothing   10400-10402 10408 10501 10504-10506 10607 10608
UPSTREAM_REJECTED       INVALID_ARGUMENT     400  nothing   10611-10616 10813 10900-10906
SESSION_EXPIRED         UNAUTHENTICATED      503  EXPIRED   401 10603 40100
LOGIN_FAILED            UNAUTHENTICATED      503  EXPIRED   10606 40002
ACCOUNT_BLOCKED         PERMISSION_DENIED    503  INVALID   10605 40003 40004
UPSTREAM_FORBIDDEN      PERMISSION_DENIED    503  nothing   403 10001 10100 10201 10202 40300
UPSTREAM_ERROR          INTERNAL             503  nothing   500 10101 10801
UPSTREAM_UNAVAILABLE    UNAVAILABLE          503  trips     10000 10004-10006 10008 10207 10208 10502
UPSTREAM_UNAVAILABLE    UNAVAILABLE          503  trips     10700-10702 11300-11304 50000
UPSTREAM_NOT_FOUND      NOT_FOUND            404  nothing   10002
UPSTREAM_ALREADY_EXISTS ALREADY_EXISTS       409  nothing   10003 10503 10508
HOST_UNAVAILABLE        UNAVAILABLE          503  UPSTREAM  10204 10205
UPSTREAM_PRECONDITION   FAILED_PRECONDITION  503  nothing   10206 10209 10403-10407 10409 10500 10507
UPSTREAM_PRECONDITION   FAILED_PRECONDITION  503  nothing   10601 10602 10617-10632 10810 11200
CONCURRENCY_LIMIT       RESOURCE_EXHAUSTED   429  closes    10230 10811
TASK_ENDED              FAILED_PRECONDITION  404  nothing   10231
MODEL_NOT_FOUND         NOT_FOUND            404  nothing   10302
IMAGE_NOT_FOUND         FAILED_PRECONDITION  503  nothing   10303
QUOTA_EXHAUSTED         RESOURCE_EXHAUSTED   429  ACCOUNT   10609 10610
MODEL_ACCESS_DENIED     PERMISSION_DENIED    403  MODEL     10812
"""
"""The reason, the gRPC code, the HTTP status, the treatment, the codes of the platform."""

STATUSES = """
SESSION_EXPIRED         UNAUTHENTICATED      503  EXPIRED   401
PROMPT_TOO_LARGE        INVALID_ARGUMENT     400  nothing   413
RATE_LIMITED            RESOURCE_EXHAUSTED   429  ACCOUNT   429
"""
"""The same for HTTP statuses without the platform's envelope."""

COOLED = {
    "ACCOUNT": CooldownScope.COOLDOWN_SCOPE_ACCOUNT,
    "MODEL": CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL,
    "UPSTREAM": CooldownScope.COOLDOWN_SCOPE_UPSTREAM,
    "trips": CooldownScope.COOLDOWN_SCOPE_UPSTREAM,
}


@dataclass(frozen=True)
class Row:
    """A failure: how the sandbox makes it, what callers are told, what becomes of the account."""

    fault: dict[str, Any]
    reason: str
    code: grpc.StatusCode
    status: int
    treatment: str

    @property
    def name(self) -> str:
        """What the sandbox answers, and what it means."""
        return f"{self.fault['do']}-{self.fault[self.fault['do']]}-{self.reason}"

    @property
    def turns(self) -> int:
        """After how many the treatment shows."""
        return TRIPS if self.treatment == "trips" else 1

    def check(self, account: pb.Account) -> None:
        """Check that the account was treated so, and not in another way."""
        state = self.treatment if self.treatment in ("EXPIRED", "INVALID") else "ACTIVE"
        assert pb.AccountState.Name(account.state) == f"ACCOUNT_STATE_{state}"
        cooled = [(self.reason, COOLED[self.treatment])] if self.treatment in COOLED else []
        assert [(one.reason, one.scope) for one in account.cooldowns] == cooled
        assert bool(account.slots_closed) == (self.treatment == "closes")


def rows(table: str, do: str) -> Iterator[Row]:
    for line in table.strip().splitlines():
        reason, code, status, treatment, *spans = line.split()
        for span in spans:
            first, _, last = span.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield Row({"do": do, do: number}, reason, grpc.StatusCode[code], int(status), treatment)


ROWS = [*rows(TABLE, "code"), *rows(STATUSES, "status")]


class Gateway:
    """A gateway with one account, and a client of its HTTP front."""

    def __init__(self, howler: Howler, front: Front) -> None:
        self.howler = howler
        self.front = front

    async def account(self) -> pb.Account:
        (account,) = (await self.howler.pool.ListAccounts(pb.ListAccountsRequest())).accounts
        return account  # type: ignore[no-any-return]

    async def break_creates(self, fault: dict[str, Any]) -> None:
        """Let every create fail in this way."""
        route = {"method": "POST", "path": CREATE, "times": 100, **fault}
        await self.howler.sandbox.faults(routes=[route])

    async def mend(self) -> None:
        """Take the faults back, end the cooldowns, and give the account a good session and open slots."""
        await self.howler.sandbox.reset()
        pool, account = self.howler.pool, await self.account()
        for named in ("", account.account_id):
            await pool.ResetCooldown(pb.ResetCooldownRequest(account_id=named))
        if account.slots_closed:  # which only time opens
            await pool.RemoveAccount(pb.RemoveAccountRequest(account_id=account.account_id))
            own = {"cookie": accounts()[0]["cookie"], "slots": account.slots}
            account = (await pool.ImportAccount(pb.ImportAccountRequest(**own))).account
        checked = pb.CheckAccountRequest(account_id=account.account_id)
        account = (await pool.CheckAccount(checked)).account
        assert account.state == pb.ACCOUNT_STATE_ACTIVE
        assert not account.cooldowns


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("rows")
    env = {
        "HOWLER_ACCOUNTS_FILE": accounts_file(folder, [{"cookie": accounts()[0]["cookie"], "slots": 2}]),
        "HOWLER_QUEUE_TIMEOUT": "1",
    }
    async with Howler(folder, env=env) as howler, Front(howler.facade.address) as front:
        yield Gateway(howler, front)


def test_no_row_is_left_out() -> None:
    http_only = {404, 405}
    codes = [row.fault["code"] for row in rows(TABLE, "code")]
    assert sorted(codes) == sorted(set(CODES) - http_only)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_failure_its_treatment_and_what_callers_are_told(gateway: Gateway, row: Row) -> None:
    await gateway.break_creates(row.fault)
    for _ in range(row.turns):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await gateway.howler.turn("hi")
        assert (reason_of(caught.value), caught.value.code()) == (row.reason, row.code)
    row.check(await gateway.account())
    await gateway.mend()
    await gateway.break_creates(row.fault)
    answer = await gateway.front.http.post(CHAT, json=chat_body("hi"))
    assert answer.status_code == row.status, told(answer)
    await gateway.mend()


@pytest.mark.asyncio(loop_scope="module")
async def test_turns_go_on_after_all_of_them(gateway: Gateway) -> None:
    events = await gateway.howler.turn("and now", retention=STOP)
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
