"""The models, images and hosts that the sandbox offers (protocol §3, §4)."""

import base64
import uuid
from dataclasses import dataclass
from typing import Final, Literal

from sandbox.world.accounts import Account, stable_uuid

NEVER: Final = -62_135_596_800  # Go's zero time in unix seconds
PUBLIC_HOST: Final = "public_host"
_EPOCH: Final = 1_780_000_000  # unix s; the catalogue is older than every task
_MEMORY: Final = 68_719_476_736  # bytes


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the list shows it.

    `age` is the seconds that it is older than the catalogue's epoch, `of` the e-mail of the one
    account that has it, empty where all do.
    """

    provider: str
    model: str
    age: int
    owner: Literal["private", "team", "public"] = "public"
    interface_type: str = "openai_chat"
    remark: str = ""
    weight: int = 1
    access_level: str = "basic"
    is_free: bool = False
    is_default: bool = False
    is_hidden: bool = False
    support_image: bool = False
    context_limit: int = 200_000
    of: str = ""

    @property
    def id(self) -> str:
        """The uuid that `model_id` takes."""
        return stable_uuid(f"model {self.provider}/{self.model} {self.age}{self.of}")

    @property
    def created_at(self) -> int:
        """Unix seconds."""
        return _EPOCH - self.age

    def brief(self) -> dict[str, object]:
        """Return the ModelBrief that stands inside tasks."""
        owner = {
            "private": {"id": stable_uuid("owner"), "type": "private", "name": "Agent"},
            "team": {"id": stable_uuid("team"), "type": "team", "name": "Sandbox Team"},
            "public": {"id": stable_uuid("admin"), "type": "public", "name": "MonkeyCode-AI"},
        }[self.owner]
        fields: dict[str, object] = {
            "id": self.id,
            "provider": self.provider,
            "model": self.model,
            "temperature": 0,
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "last_check_at": NEVER if self.is_hidden else self.created_at + 60,
            "weight": self.weight,
            "owner": owner,
            "interface_type": self.interface_type,
            "is_free": self.is_free,
            "access_level": self.access_level,
            "last_check_success": not self.is_hidden,
            "last_check_error": "",
            "thinking_enabled": True,
            "support_image": self.support_image,
            "is_hidden": self.is_hidden,
            "context_limit": self.context_limit,
            "output_limit": 32_000,
        }
        return fields | ({"remark": self.remark} if self.remark else {})

    def full(self) -> dict[str, object]:
        """Return the Model of the list; only private ones show key and address."""
        private = self.owner == "private"
        fields = self.brief() | {
            "base_url": "http://models.sandbox.example/v1" if private else "",
            "is_default": self.is_default,
        }
        return fields | ({"api_key": "private-key-of-the-sandbox"} if private else {})

    def open_to(self, account: Account) -> bool:
        """Tell whether the account's plan covers the model, by the name's prefix (§3.2)."""
        name, plan = self.model.lower(), account.plan
        if name.startswith("monkeycode-ultra"):
            return plan in {"ultra", "flagship"}
        if name.startswith("monkeycode-pro"):
            return plan in {"pro", "ultra", "flagship"}
        return True


MODELS: Final = (
    Model("OpenAI", "gpt-5.5", 10, interface_type="openai_responses", weight=20, support_image=True),
    Model("DeepSeek", "deepseek-v4", 500, remark="DeepSeek V4", weight=10, is_free=True, is_default=True),
    Model("SiliconFlow", "glm-5", 700, interface_type="anthropic", weight=5, context_limit=128_000),
    Model("Moonshot", "kimi-k3", 2000),
    Model("Moonshot", "kimi-k3", 1000, remark="Kimi K3 (new)"),
    Model("BaiZhiCloud", "monkeycode-pro-1", 3000, access_level="pro"),
    Model("BaiZhiCloud", "monkeycode-ultra-1", 3500, access_level="ultra"),
    Model("BaiZhiCloud", "monkeycode-basic", 4000, is_hidden=True),
    Model("BaiLian", "qwen4-coder", 200, owner="team", remark="Team Qwen", is_free=True),
    Model("Ollama", "llama5:70b", 100, owner="private"),
    # No interface type, as rows of an older release: opencode refuses it after the task exists (§3.3, §5.2).
    Model("Other", "legacy", 90_000, owner="private", interface_type=""),
)


@dataclass(frozen=True, slots=True)
class Image:
    """A container image."""

    name: str
    remark: str
    owner: Literal["private", "public"]
    is_default: bool = False

    @property
    def id(self) -> str:
        """The uuid that `image_id` takes."""
        return stable_uuid(f"image {self.name}")

    @property
    def created_at(self) -> int:
        """Unix seconds."""
        return _EPOCH - 1000

    def fields(self) -> dict[str, object]:
        """Return the image as JSON fields."""
        public = self.owner == "public"
        return {
            "id": self.id,
            "name": self.name,
            "remark": self.remark,
            "is_default": self.is_default,
            "created_at": self.created_at,
            "owner": {
                "id": stable_uuid("admin" if public else "owner"),
                "type": self.owner,
                "name": "MonkeyCode-AI" if public else "Agent",
            },
        }


IMAGES: Final = (
    Image("images.sandbox.example/own/python:3.14", "my python", "private", is_default=True),
    Image("images.sandbox.example/monkeycode/base:v3", "base", "public"),
    Image("images.sandbox.example/monkeycode/devbox:v3", "devbox", "public"),
)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that runs VMs. The account's own ones; the public one is masked."""

    id: str
    name: str
    status: Literal["online", "offline"]
    owner: Literal["private", "public"]

    def fields(self) -> dict[str, object]:
        """Return the host as JSON fields (§4.2)."""
        private = self.owner == "private"
        fields: dict[str, object] = {
            "id": self.id,
            "arch": "x86_64",
            "cores": 32,
            "os": "linux",
            "status": self.status,
            "memory": _MEMORY,
            "name": self.name,
            "external_ip": "192.0.2.7" if private else "",
            "default": False,
            "version": "v3.1.0",
            "is_default": False,
            "weight": 1,
        }
        owner = {"id": stable_uuid("owner"), "type": "private", "name": "Agent"}
        return fields | ({"owner": owner} if private else {})


def _masked(host_id: str) -> str:
    return "public_host_" + "_".join(host_id.split("-")[:3])


HOSTS: Final = (
    Host(_masked(stable_uuid("host public")), "MonkeyCode-AI", "online", "public"),
    Host(stable_uuid("host own online"), "workstation", "online", "private"),
    Host(stable_uuid("host own offline"), "old-laptop", "offline", "private"),
)


def models(account: Account) -> tuple[Model, ...]:
    """Return the models that the account is shown: those of all, and those that it alone has."""
    own = (Model("Ollama", name, 50_000, owner="private", of=account.email) for name in account.models)
    return (*MODELS, *own)


def model(model_id: str, account: Account) -> Model | None:
    """Return a model of the account by its uuid."""
    return next((one for one in models(account) if one.id == model_id), None)


def image(image_id: str) -> Image | None:
    """Return an image by its uuid."""
    return next((one for one in IMAGES if one.id == image_id), None)


def host(host_id: str) -> Host | None:
    """Return a host that tasks may name: one of one's own, never a masked id (§4.2)."""
    return next((one for one in HOSTS if one.id == host_id and one.owner == "private"), None)


def cursor(created_at: int, row_id: str) -> str:
    """Return the paging cursor behind a row: `u.<base36 ms>.<base64url uuid>`."""
    packed = base64.urlsafe_b64encode(uuid.UUID(row_id).bytes).decode("ascii").rstrip("=")
    return f"u.{_base36(created_at * 1000)}.{packed}"


def read_cursor(text: str) -> tuple[int, str]:
    """Return (created_at in s, row id) of a cursor; ValueError if it is none."""
    mark, milliseconds, packed = text.split(".")
    if mark != "u":
        raise ValueError("not a cursor")
    row_id = str(uuid.UUID(bytes=base64.urlsafe_b64decode(packed + "==")))
    return int(milliseconds, 36) // 1000, row_id


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"
