"""What happens to a task over time: boot, sleep, resume, stop (protocol §5.4, §9)."""

import asyncio
import time
from typing import Final

from sandbox.agent.repertoire import boot_fails, boot_seconds
from sandbox.settings import Settings
from sandbox.wire.dialect import DIALECTS
from sandbox.world.faults import Faults
from sandbox.world.machine import Machine, Power, Progress
from sandbox.world.session import AgentSession
from sandbox.world.storage import Storage
from sandbox.world.task import Task
from sandbox.world.turn import Ending

_BOOT_STEPS: Final = ("Scheduled", "ImagePulled", "ContainerCreated", "ContainerStarted")
_TITLE: Final = 40  # characters of the prompt that become the title
_RESUME: Final = 0.5  # of the time of a boot


def now() -> int:
    """Return unix seconds."""
    return int(time.time())


class Lifecycle:
    """Moves tasks through their states."""

    def __init__(self, settings: Settings, faults: Faults, storage: Storage) -> None:
        self._settings, self._faults, self._storage = settings, faults, storage

    def start(self, task: Task, machine: Machine) -> None:
        """Give a task its machine and boot it; then its content runs, where the settings say so."""
        task.machine = machine
        task.agent = AgentSession(
            task.channel,
            machine,
            self._faults,
            DIALECTS[self._settings.dialect],
            system_prompt=task.order.system_prompt,
            question_s=self._settings.question_s,
            fetch=self._storage.referred,
            active=lambda: self.touch(task),
        )
        self.touch(task)
        task.boot = asyncio.create_task(self._boot(task, machine, task.agent), name=f"boot {task.id}")

    async def stop(self, task: Task) -> None:
        """Finish a task and recycle its machine; a finished one stays as it is."""
        await self._end_boot(task)
        if task.agent:
            await task.agent.interrupt(Ending.STOPPED)
        if task.machine:
            task.machine.power = Power.RECYCLED
        self._disarm(task)
        if task.status in {"pending", "processing", "error"}:
            task.status = "finished"
            task.completed_at = now()

    async def lose(self, task: Task) -> None:
        """Lose a task's machine as a crash of its host does: nothing is told."""
        await self._end_boot(task)
        if task.machine and task.machine.power is not Power.RECYCLED:
            task.machine.power = Power.LOST
        if task.agent:
            await task.agent.interrupt(Ending.LOST)

    def touch(self, task: Task) -> None:
        """Count activity: postpones sleep and recycling (§9)."""
        task.last_active_at = now()
        self.postpone_sleep(task)
        if task.recycle:
            task.recycle.cancel()
        task.recycle = asyncio.get_running_loop().call_later(self._settings.recycle_s, self._recycle, task)

    def postpone_sleep(self, task: Task) -> None:
        """Start the sleep timer anew."""
        if task.sleep:
            task.sleep.cancel()
        task.sleep = asyncio.get_running_loop().call_later(self._settings.sleep_s, self._fall_asleep, task)

    def hibernate(self, task: Task) -> None:
        """Put a machine to sleep now."""
        if task.machine and task.machine.is_on:
            task.machine.condition("Hibernated", Progress.DONE, now(), 100)

    def resume(self, task: Task) -> None:
        """Wake a machine that hibernates, in the background."""
        if task.machine and task.machine.is_asleep and (task.boot is None or task.boot.done()):
            task.boot = asyncio.create_task(self._wake(task, task.machine), name=f"wake {task.id}")

    async def close(self, task: Task) -> None:
        """End what runs for a task, for good; its state is told to nobody any more."""
        await self._end_boot(task)
        if task.agent:
            await task.agent.interrupt(Ending.LOST)
        self._disarm(task)

    async def _boot(self, task: Task, machine: Machine, agent: AgentSession) -> None:
        content = task.order.content
        pause = boot_seconds(content, self._settings.boot_ms / 1000) / (len(_BOOT_STEPS) + 1)
        for kind in _BOOT_STEPS:
            machine.condition(kind, Progress.IN_PROGRESS, now(), 0)
            await asyncio.sleep(pause / 2)
            machine.condition(kind, Progress.IN_PROGRESS, now(), 50)
            await asyncio.sleep(pause / 2)
            machine.condition(kind, Progress.DONE, now(), 100)
        if boot_fails(content):
            machine.condition("Failed", Progress.FAILED, now(), 0, "the sandbox machine was asked to fail")
            task.status = "error"
            return
        await asyncio.sleep(pause)
        machine.condition("Ready", Progress.DONE, now(), 100)
        machine.power = Power.ON
        task.status = "processing"
        task.title = task.title or content[:_TITLE]
        if self._settings.runs_content == "true":
            agent.submit(task.order.prompt, "create")

    async def _wake(self, task: Task, machine: Machine) -> None:
        await asyncio.sleep(self._settings.boot_ms / 1000 * _RESUME)
        machine.condition("Ready", Progress.DONE, now(), 100)
        self.postpone_sleep(task)

    def _fall_asleep(self, task: Task) -> None:
        # A turn is activity, and a control socket keeps its machine awake.
        if task.control_sockets or (task.agent and task.agent.is_running) or task.status == "pending":
            self.postpone_sleep(task)
        else:
            self.hibernate(task)

    def _recycle(self, task: Task) -> None:
        if task.agent and task.agent.is_running:
            self.touch(task)
        elif task.status in {"pending", "processing"}:
            self._disarm(task)
            task.status = "finished"
            task.completed_at = now()
            if task.machine:
                task.machine.power = Power.RECYCLED

    async def _end_boot(self, task: Task) -> None:
        if task.boot and not task.boot.done():
            task.boot.cancel()
            await asyncio.wait([task.boot])

    def _disarm(self, task: Task) -> None:
        for timer in (task.sleep, task.recycle):
            if timer:
                timer.cancel()
        task.sleep = task.recycle = None
