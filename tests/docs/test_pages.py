"""What the Markdown pages point at exists: files, recipes, settings."""

import re
import subprocess

import pytest

import sandbox.settings
from docs.settings_tables import PROGRAMS
from tests.support.process import ROOT

_LINK = re.compile(r"\[[^\]]*\]\((?P<to>[^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_IN_CODE = re.compile(r"`([^`\n]+)`")
_RECIPE = re.compile(r"^([a-z0-9-]+):.*## ", re.MULTILINE)
_SUFFIXES = (".py", ".md", ".proto", ".txt", ".json", ".toml", ".lock", "/")


def tracked() -> frozenset[str]:
    """Return the files of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(listed.stdout.splitlines())


PAGES = sorted(name for name in tracked() if name.endswith(".md"))
RECIPES = frozenset(_RECIPE.findall((ROOT / "Makefile").read_text()))


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for link in _LINK.finditer(_FENCE.sub("", path.read_text())):
        to = link["to"]
        if not to.startswith(("http://", "https://", "#")):
            assert (path.parent / to.partition("#")[0]).exists(), f"{name} points at {to}"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/configuration.md"])
def test_files_named_in_code_exist(name: str) -> None:
    named = _IN_CODE.findall(_FENCE.sub("", (ROOT / name).read_text()))
    files = [one for one in named if "/" in one and one.endswith(_SUFFIXES) and " " not in one]
    missing = [
        one for one in files if not one.startswith(("/", "http", "sqlite:")) and not (ROOT / one).exists()
    ]
    assert not [one for one in missing if one != "var/"], f"{name} names {missing}"


@pytest.mark.parametrize("name", PAGES)
def test_recipes_named_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    code = _IN_CODE.findall(text) + [block[0] for block in _FENCE.finditer(text)]
    named = {recipe for piece in code for recipe in re.findall(r"(?:^|[`\s])make ([a-z][a-z0-9-]*)", piece)}
    assert named <= RECIPES, f"{name} names {sorted(named - RECIPES)}"


def test_the_two_commands_of_the_readme_are_recipes() -> None:
    block = _FENCE.search((ROOT / "README.md").read_text().partition("## Two commands")[2])
    assert block is not None
    commands = re.findall(r"^make (\S+)", block[0], re.MULTILINE)
    assert commands == ["run", "test"]
    assert set(commands) <= RECIPES


def test_readme_has_real_output() -> None:
    assert "@@" not in (ROOT / "README.md").read_text(), "a placeholder stands where output belongs"


@pytest.mark.parametrize("name", ["README.md", "docs/configuration.md", "CONTRIBUTING.md"])
def test_settings_named_exist(name: str) -> None:
    known = {f"HOWLER_{field.upper()}" for one in PROGRAMS.values() for field in one.model_fields}
    known |= {f"HOWLER_SANDBOX_{field.upper()}" for field in sandbox.settings.Settings.__dataclass_fields__}
    named = set(re.findall(r"\bHOWLER_[A-Z0-9_]*[A-Z0-9]\b", (ROOT / name).read_text()))
    assert {one for one in named - known if not one.startswith("HOWLER_TEST")} <= {"HOWLER"}
