"""What the tests of the stores write down, and short ways to ask a store."""

from howler.pool.v1.cooldown_pb2 import Cooldown, CooldownScope
from howler.pool.v1.pool_service_pb2 import AccountState, Lease, LeaseMode
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.ledger import Holding
from server.pool.show import timestamp
from server.store.open import AnyStore, store_at
from tests.support.keys import ring

ANN, BOB, PLATFORM = AccountId("acc_ann"), AccountId("acc_bob"), AccountId("")
EXCLUSIVE, SHARED = LeaseMode.LEASE_MODE_EXCLUSIVE, LeaseMode.LEASE_MODE_SHARED
NO_TASK, NO_LEASE = TaskId(""), LeaseId("")
TTL, RECLAIM = 60.0, 0.1
SLOTS = 3
SECONDS = 60.0  # a test that waits for longer has failed


def opened(url: str) -> AnyStore:
    return store_at(url, ring(), SLOTS, RECLAIM)


def member(account_id: AccountId) -> Member:
    return Member(account_id, cookie="c", state=AccountState.ACCOUNT_STATE_ACTIVE, create_us=5)


def lease(lease_id: str, account_id: AccountId = ANN, mode: LeaseMode = EXCLUSIVE) -> Lease:
    return Lease(lease_id=lease_id, account_id=account_id, mode=mode, holder="h", purpose="p")


def task(task_id: str, used_us: int = 1, principal: str = "", account_id: AccountId = ANN) -> Task:
    return Task(
        task_id=task_id,
        account_id=account_id,
        model="m",
        principal=principal,
        turn_id="turn",
        create_time=timestamp(1),
        last_used_time=timestamp(used_us),
    )


def cooldown(reason: str, model: str = "", scope: CooldownScope | None = None) -> Cooldown:
    usual = CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL if model else CooldownScope.COOLDOWN_SCOPE_ACCOUNT
    return Cooldown(reason=reason, scope=scope or usual, until_time=timestamp(7), upstream_model_id=model)


async def granted(store: AnyStore, lease_id: str, task_id: str = "", ttl: float = TTL) -> int | None:
    return await store.grant(lease(lease_id), TaskId(task_id), ttl, 1)


async def rest(store: AnyStore, task_id: str, now_us: int) -> None:
    """Let a task idle that no lease is on."""
    assert await granted(store, f"rest {task_id}", task_id)
    await store.end_lease(LeaseId(f"rest {task_id}"), now_us)


async def fill(store: AnyStore, account_id: AccountId = ANN) -> None:
    """Lease every slot of an account: `full0` and so on."""
    for number in range(SLOTS):
        assert await store.grant(lease(f"full{number}", account_id), NO_TASK, TTL, 1)


async def state_of(store: AnyStore, task_id: str) -> TaskState:
    found = await store.task(TaskId(task_id))
    assert found is not None
    return found.state


async def busy_tasks(store: AnyStore) -> dict[str, bool]:
    return {work.task.task_id: work.busy for work in (await store.books()).tasks}


async def leases(store: AnyStore) -> dict[str, Holding]:
    return {holding.lease.lease_id: holding for holding in (await store.books()).leases}
