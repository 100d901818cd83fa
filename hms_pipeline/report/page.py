"""Templates → one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..schema import ACNS_NAMES, CLASSES
from ..system.files import write_text
from .style import CLASS_COLOURS, CLASS_LONG, gradient

TEMPLATES = Path(__file__).parent / "templates"
DASH = "–"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": clock, "number": number, "span": span, "votes": votes}
    environment.filters["percent"] = lambda value: f"{value:.0%}"
    return environment


def write_page(out: Path, template: str, context: Mapping[str, Any]) -> Path:
    """Render a template into ``out`` (atomically) and return it.

    Parameters
    ----------
    out : Path
        The HTML file.
    template : str
        File in ``templates``.
    context : mapping
        What the template names.
    """
    classes = [
        {
            "name": name,
            "label": label,
            "long": CLASS_LONG.get(name, ""),
            "colour": CLASS_COLOURS[name],
        }
        for name, label in zip(CLASSES, ACNS_NAMES, strict=True)
    ]
    context = {**context, "classes": classes, "gradient": gradient()}
    if "values" in context:
        context["values"] = {**context["values"], "classes": classes}
    text = _environment().get_template(template).render(context)
    out = Path(out)
    write_text(out, text)
    return out


def image_uri(png: bytes) -> Markup:
    """A PNG as a data address."""
    return Markup(  # noqa: S704 - base64 needs no escaping
        "data:image/png;base64," + base64.b64encode(png).decode()
    )


def number(value: float | None, digits: int = 4) -> str:
    """A number with its decimals, or a dash where there is none."""
    return DASH if value is None else f"{value:.{digits}f}"


def span(interval: Sequence[float] | None, sign: str = "") -> str:
    """Both ends of an interval, with ``sign="+"`` always signed; a dash where there is none."""
    return " to ".join(f"{end:{sign}.4f}" for end in interval) if interval else DASH


def votes(name: str) -> str:
    """What a slice of windows is called.

    Examples
    --------
    >>> votes("all"), votes("3-9"), votes(">=10")
    ('all windows', '3–9 votes', '≥ 10 votes')
    """
    return "all windows" if name == "all" else f"{name.replace('>=', '≥ ').replace('-', '–')} votes"


def clock(seconds: float, start_of_day_s: float | None = None) -> str:
    """Time in a recording: from its start, or of day where it is known when that was.

    Parameters
    ----------
    seconds : float
        From the recording's start.
    start_of_day_s : float, optional
        When the recording starts, seconds after midnight.

    Examples
    --------
    >>> clock(75)
    '1:15'
    >>> clock(3675.2)
    '1:01:15'
    >>> clock(3675.2, 22 * 3600), clock(3675.2, 23 * 3600)
    ('23:01:15', 'day 2 00:01:15')
    """
    whole = math.floor(seconds + (start_of_day_s or 0) + 0.5)  # as viewer.js rounds
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if start_of_day_s is not None:
        day = f"day {hours // 24 + 1} " if hours >= 24 else ""
        return f"{day}{hours % 24:02d}:{minutes:02d}:{rest:02d}"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def facts(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as flat rows of text; lists are joined, nothing is left out.

    Examples
    --------
    >>> facts({"version": 3, "hashes": {"data": "ab"}})
    [('version', '3'), ('hashes · data', 'ab')]
    """
    rows: list[tuple[str, str]] = []
    for key, value in mapping.items():
        name = f"{prefix} · {key}" if prefix else str(key)
        if isinstance(value, Mapping):
            rows += facts(value, name)
        elif isinstance(value, list | tuple):
            rows.append((name, ", ".join(map(str, value)) or DASH))
        elif isinstance(value, bool):
            rows.append((name, "yes" if value else "no"))
        elif isinstance(value, float):
            rows.append((name, f"{value:.6g}"))
        else:
            rows.append((name, DASH if value is None else str(value)))
    return rows
