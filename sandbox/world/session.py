"""The agent's process on a machine: runs one turn at a time from the agent's script."""

import asyncio
import enum
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from sandbox.agent import acp
from sandbox.agent.answer import tokens
from sandbox.agent.repertoire import script
from sandbox.agent.step import Ask, Crash, Emit, Enclosed, OpenPort, Pause, Scene, Script, Step, Write
from sandbox.wire import gojson
from sandbox.wire.dialect import Dialect
from sandbox.wire.prompt import Attachment, Prompt, Reply, write_prompt
from sandbox.world.channel import Channel
from sandbox.world.faults import Faults
from sandbox.world.history import text_of
from sandbox.world.machine import Machine
from sandbox.world.turn import Ending, Stats, Turn

_LOG = logging.getLogger(__name__)
_BREATH = 64  # frames after which others get the event loop


class Context(enum.Enum):
    """Whether an agent that restarts remembers the conversation (`load_session`)."""

    KEEP = "keep"
    CLEAR = "clear"


class AgentSession:
    """Runs the turns of one task. A prompt that comes while a turn runs waits for its end."""

    def __init__(
        self,
        channel: Channel,
        machine: Machine,
        faults: Faults,
        dialect: Dialect,
        *,
        system_prompt: str,
        question_s: float,
        active: Callable[[], None],
        fetch: Callable[[Attachment], bytes | None],
    ) -> None:
        self.turns: list[Turn] = []
        self.session_number = 1
        self.is_dead = False
        self._channel, self._machine, self._faults, self._dialect = channel, machine, faults, dialect
        self._system_prompt, self._question_s, self._active = system_prompt, question_s, active
        self._fetch = fetch
        self._memory: list[str] = []
        self._inbox: deque[tuple[Prompt, str]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._question: tuple[str, asyncio.Future[Reply]] | None = None
        self._interrupt = Ending.LOST

    @property
    def is_running(self) -> bool:
        """Tell whether a turn runs."""
        return self._running is not None

    def used(self, by: float = math.inf) -> Stats:
        """Return what the turns used that had ended by a time in unix seconds; usually all of them."""
        stats = Stats()
        for turn in self.turns:
            if turn.ended_at <= by:
                stats.add(turn.used)
        return stats

    def told_stats(self) -> Stats | None:
        """Return what info tells of it by now, None while that is nothing (§5.3)."""
        lag_ms = self._faults.platform.stats_lag_ms
        stats = self.used(time.time() - lag_ms / 1000) if lag_ms is not None else Stats()
        return stats if stats.llm_requests else None

    def submit(self, prompt: Prompt, via: str) -> bool:
        """Take a prompt; False if there is no agent to take it."""
        if self.is_dead or not self._machine.is_on:
            return False
        self._active()
        self._inbox.append((prompt, via))
        self._start_next()
        return True

    def answer(self, reply: Reply) -> bool:
        """Take the answer to the open question; False if it answers none."""
        if self._question is None or self._question[0] != reply.request_id or self._question[1].done():
            return False
        self._question[1].set_result(reply)
        return True

    async def interrupt(self, ending: Ending) -> None:
        """End the running turn and forget the prompts that wait, unless it is merely cancelled."""
        if ending is not Ending.CANCELLED:
            self._inbox.clear()
        running = self._running
        if running is not None:
            self._interrupt = ending
            running.cancel()
            await asyncio.wait([running])

    async def restart(self, context: Context) -> str:
        """Start the agent anew; return the id of its session."""
        await self.interrupt(Ending.STOPPED)
        self.is_dead = False
        if context is Context.CLEAR:
            self._memory.clear()
            self.session_number += 1
        return f"ses_{self.session_number}"

    def _start_next(self) -> None:
        if self._running is None and self._inbox:
            prompt, via = self._inbox.popleft()
            turn = Turn(len(self.turns) + 1, prompt, via)
            self.turns.append(turn)
            self._running = asyncio.create_task(self._play(turn), name=f"turn {turn.number}")
            # A callback and not `finally`: a task that is cancelled before it begins runs no `finally`.
            self._running.add_done_callback(partial(self._finish, turn))

    def _finish(self, turn: Turn, running: asyncio.Task[None]) -> None:
        self._running = None
        turn.ended_at = time.time()
        if running.cancelled():
            turn.ending = self._interrupt
            if turn.ending is Ending.CANCELLED:
                self._emit(turn, acp.CANCELLED)
            silent = turn.ending is Ending.STOPPED and self._faults.platform.silent_stop
            if turn.ending is not Ending.LOST and not silent:
                self._emit(turn, acp.ENDED)
        elif (error := running.exception()) is not None:
            turn.ending = Ending.CRASHED
            self.is_dead = True
            _LOG.error("the script of turn %d failed", turn.number, exc_info=error)
        self._active()
        if not self.is_dead:
            self._start_next()

    async def _play(self, turn: Turn) -> None:
        behaviour = self._faults.platform
        if turn.number > 1 or behaviour.log_first_input:
            payload = gojson.loads(write_prompt(turn.prompt))
            entry = self._channel.record(turn.number, "user-input", "", payload)
            if behaviour.repeat_input:
                self._channel.tell(entry)
        scene = Scene(
            prompt=turn.prompt.text,
            attachments=tuple(Enclosed(one.filename, self._fetch(one)) for one in turn.prompt.attachments),
            turn=turn.number,
            earlier=tuple(self._memory),
            system_prompt=self._system_prompt,
        )
        self._count(turn, tokens("".join((self._system_prompt, *self._memory, turn.prompt.text))), 0)
        turn.used.llm_requests += 1
        self._memory.append(turn.prompt.text)
        turn.ending = await self._perform(turn, script(scene))

    async def _perform(self, turn: Turn, script: Script) -> Ending:
        reply: Reply | None = None
        for count in range(1, 1 << 62):
            try:
                step = script.send(reply)
            except StopIteration:
                break
            if isinstance(step, Crash):
                self.is_dead = True
                return Ending.CRASHED
            reply = await self._step(turn, step)
            if count % _BREATH == 0:
                await asyncio.sleep(0)
        return Ending.COMPLETED

    async def _step(self, turn: Turn, step: Step) -> Reply | None:
        match step:
            case Emit():
                self._emit(turn, step)
            case Pause(seconds) if math.isinf(seconds):
                await asyncio.Event().wait()
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Ask(request_id):
                return await self._ask(turn, request_id)
            case Write(path, content):
                self._machine.repository.write(path, content.encode(), int(time.time()))
                self._channel.signal("repo_file_change", {"path": path})
            case OpenPort(port):
                self._machine.open_port(port, int(time.time()))
                self._channel.signal("port_change", {"change_type": "PORT_CHANGE_TYPE_OPENED"})
        return None

    async def _ask(self, turn: Turn, request_id: str) -> Reply | None:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._question = (request_id, future)
        try:
            reply = await asyncio.wait_for(future, self._question_s)
        except TimeoutError:
            return None
        finally:
            self._question = None
        turn.replies.append(reply)
        self._emit(turn, Emit("reply-question", "", reply.payload()))
        return reply

    def _emit(self, turn: Turn, step: Emit) -> None:
        payload = self._metered(turn, step)
        entry = self._channel.record(turn.number, step.type, step.kind, payload)
        text = text_of(entry)
        if text is not None:
            self._count(turn, 0, len(text[1].encode()))
        self._channel.tell(entry)

    def _metered(self, turn: Turn, step: Emit) -> object:
        """Return the payload of a step, with what was used told as the dialect tells it."""
        if self._dialect.ends_with_usage and step == acp.ENDED:
            return {"usage": turn.used.tokens()}
        if self._dialect.counts_tokens and acp.is_usage(step):
            return acp.update("usage_update", **turn.used.tokens()).payload
        return step.payload

    def _count(self, turn: Turn, input_tokens: int, output_bytes: int) -> None:
        turn.used.input_tokens += input_tokens
        turn.used.output_bytes += output_bytes
