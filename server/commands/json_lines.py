"""Reports as JSON, one object per line, for machines."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from howler.pool.v1.pool_service_pb2 import Account

from server.commands.findings import Findings
from server.commands.report import Report
from server.errors import ServiceError, reason_name
from server.upstream.platform import Subscription, Wallet


class JsonLines:
    """Tells reports to machines. See Form; accounts are howler.pool.v1.Account in protobuf's JSON."""

    def whole(self, report: Report) -> Iterable[str]:
        """Tell all in one object."""
        yield json.dumps(_object(report), ensure_ascii=False)

    def entry(self, number: int, total: int, report: Report) -> str:
        """Tell all, and which entry of the list it was."""
        return json.dumps({"entry": number, **_object(report)}, ensure_ascii=False)

    def table(self, accounts: Sequence[Account]) -> Iterable[str]:
        """Tell each account in an object."""
        for account in accounts:
            yield json.dumps({"account": _account(account)}, ensure_ascii=False)


def _object(report: Report) -> dict[str, Any]:
    told: dict[str, Any] = {"outcome": report.outcome}
    if report.account is not None:
        told["account"] = _account(report.account)
    if report.findings is not None:
        told["findings"] = _findings(report.findings)
    if report.refusal is not None:
        told["refusal"] = _refusal(report.refusal)
    return told


def _account(account: Account) -> dict[str, Any]:
    return MessageToDict(account, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _findings(found: Findings) -> dict[str, Any]:
    """Return what the platform told; what it never tells is null, what it would not say has a reason."""
    listed: dict[str, Any] = (
        {"models": _refusal(found.models)}
        if isinstance(found.models, ServiceError)
        else {
            "models": [model.id for model in found.within_plan],
            "models_beyond_plan": [model.id for model in found.beyond_plan],
        }
    )
    return {
        "subscription": _subscription(found.subscription),
        "wallet": _wallet(found.wallet),
        "usual_tasks_at_a_time": found.tasks_at_a_time,
        **listed,
    }


def _subscription(told: Subscription | ServiceError | None) -> dict[str, Any] | None:
    match told:
        case Subscription(plan, expires, auto_renew):
            until = expires.isoformat() if expires else None
            return {"plan": plan, "expires_at": until, "auto_renew": auto_renew}
        case ServiceError():
            return _refusal(told)
        case None:
            return None


def _wallet(told: Wallet | ServiceError | None) -> dict[str, Any] | None:
    match told:
        case Wallet(balance, tokens, limit):
            return {"balance": balance, "daily_tokens": tokens, "daily_limit": limit}
        case ServiceError():
            return _refusal(told)
        case None:
            return None


def _refusal(error: ServiceError) -> dict[str, Any]:
    return {"reason": reason_name(error.reason), "message": error.message}
