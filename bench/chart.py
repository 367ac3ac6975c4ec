"""Draws panels of bars as SVG, by hand. Pure. Readable in black and white: every bar says its value."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH, _LEFT, _RIGHT = 860, 170, 90
_BAR, _GAP, _HEAD = 16, 5, 46
_INK: Final = "#1f2328"
_GREY: Final = "#6e7781"
_GOAL: Final = "#cf222e"
_COLOURS: Final = ("#0969da", "#8250df", "#1a7f37", "#bf8700", "#57606a", "#bc4c00")
_FONT: Final = "font-family='system-ui, sans-serif'"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of one or several parts, by name. `goal` is where it should end at the latest."""

    label: str
    parts: dict[str, float]
    goal: float | None = None

    @property
    def total(self) -> float:
        """Return its length."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of one unit under one title."""

    title: str
    bars: Sequence[Bar]

    @property
    def height(self) -> int:
        """Return what it takes, in pixels."""
        return _HEAD + len(self.bars) * (_BAR + _GAP) + 14


def svg(title: str, panels: Sequence[Panel]) -> str:
    """Return the chart; panels without bars are left out."""
    panels = [panel for panel in panels if panel.bars]
    names = list(dict.fromkeys(name for panel in panels for bar in panel.bars for name in bar.parts))
    colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(names)}
    height = 64 + sum(panel.height for panel in panels)
    out = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' {_FONT} font-size='12'>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{_WIDTH}' height='{height}' fill='#ffffff'/>",
        f"<text x='16' y='24' font-size='15' font-weight='600' fill='{_INK}'>{escape(title)}</text>",
        _legend(colours),
    ]
    top = 58
    for panel in panels:
        out += _panel(panel, top, colours)
        top += panel.height
    return "\n".join([*out, "</svg>", ""])


def _legend(colours: dict[str, str]) -> str:
    out, left = [], 16
    for name, colour in [*colours.items(), ("goal, at most", _GOAL)]:
        width = 2 if name.startswith("goal") else 11
        out.append(f"<rect x='{left}' y='38' width='{width}' height='11' fill='{colour}'/>")
        out.append(f"<text x='{left + 16}' y='48' fill='{_GREY}'>{escape(name)}</text>")
        left += 34 + 7 * len(name)
    return "\n".join(out)


def _panel(panel: Panel, top: int, colours: dict[str, str]) -> list[str]:
    most = max(max(bar.total, bar.goal or 0.0) for bar in panel.bars) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / max(most, 1e-9)
    out = [f"<text x='16' y='{top + 28}' font-weight='600' fill='{_INK}'>{escape(panel.title)}</text>"]
    y = top + _HEAD - 8
    for bar in panel.bars:
        out.append(
            f"<text x='{_LEFT - 8}' y='{y + 12}' text-anchor='end' fill='{_INK}'>{escape(bar.label)}</text>"
        )
        x = float(_LEFT)
        for name, value in bar.parts.items():
            width = max(0.0, value) * scale
            out.append(
                f"<rect x='{x:.1f}' y='{y}' width='{width:.1f}' height='{_BAR}' fill='{colours[name]}'/>"
            )
            x += width
        end = x
        if bar.goal is not None:
            at = _LEFT + bar.goal * scale
            out.append(f"<rect x='{at - 1:.1f}' y='{y - 2}' width='2' height='{_BAR + 4}' fill='{_GOAL}'/>")
            end = max(end, at)
        out.append(f"<text x='{end + 6:.1f}' y='{y + 12}' fill='{_GREY}'>{_short(bar.total)}</text>")
        y += _BAR + _GAP
    return out


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
