"""Asks the cases of a base URL; the openai package judges the answers, which must be those of expected/."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import httpx2
import openai

from tests.conformance.case import HERE, SOCKET, Case, ask_of, ask_of_step
from tests.conformance.heard import Heard
from tests.support.line import line_to

_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Verdict:
    """What came of one form of a case: its lines, and what the judges found wrong with it, if anything."""

    lines: list[str]
    fault: str = ""


async def ask_case(base_url: str, case: Case) -> dict[str, Verdict]:
    """Ask a case in all its forms at once."""
    async with httpx2.AsyncClient(base_url=base_url, timeout=_SECONDS, trust_env=False) as http:
        verdicts = await asyncio.gather(*(_ask_form(base_url, http, case, form) for form in case.forms))
    return dict(zip(case.forms, verdicts, strict=True))


async def _ask_form(base_url: str, http: httpx2.AsyncClient, case: Case, form: str) -> Verdict:
    """Ask a case in one form, and then what is to be asked about its response."""
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(line_to(base_url, **case.headers)) if form == SOCKET else None
        heard = Heard(case, http, line)
        try:
            await heard.ask(ask_of(case, form))
            for step in case.then:
                heard.lines.append(f"-- {step.ask}")
                await heard.ask(ask_of_step(case, step, heard.names))
        except (AssertionError, ValueError, openai.OpenAIError) as error:
            return Verdict(heard.lines, f"{type(error).__name__}: {error}")
    return Verdict(heard.lines)


def expected(name: str) -> dict[str, list[str]]:
    """Return the lines of each form that are expected of a case; empty where none are."""
    path = HERE / "expected" / f"{name}.txt"
    blocks = path.read_text("utf-8").split("== ")[1:] if path.exists() else []
    forms = (block.rstrip("\n").split("\n") for block in blocks)
    return {lines[0]: lines[1:] for lines in forms}


def rewrite(name: str, seen: dict[str, Verdict]) -> None:
    """Make what was seen what is expected."""
    blocks = ["\n".join([f"== {form}", *verdict.lines]) for form, verdict in seen.items()]
    (HERE / "expected" / f"{name}.txt").write_text("\n\n".join(blocks) + "\n", "utf-8")


def faults(name: str, seen: dict[str, Verdict]) -> dict[str, str]:
    """Return what is wrong with each form that is not as it should be."""
    wanted, wrong = expected(name), {}
    for form, verdict in seen.items():
        if verdict.fault:
            wrong[f"{name}/{form}"] = verdict.fault
        elif verdict.lines != wanted.get(form, []):
            wrong[f"{name}/{form}"] = _difference(wanted.get(form, []), verdict.lines)
    return wrong


def _difference(wanted: list[str], seen: list[str]) -> str:
    for number, line in enumerate(seen):
        if number >= len(wanted) or wanted[number] != line:
            was = wanted[number] if number < len(wanted) else "nothing"
            return f"line {number + 1} is {json.dumps(line)[:2000]}, expected {json.dumps(was)[:2000]}"
    return f"it ends before {json.dumps(wanted[len(seen)])[:2000]}"
