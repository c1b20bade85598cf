"""`Advice`: what `plait.advise` found out, as a table, in words, as code, as JSON, as a plot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from plait.fit.evidence import Evidence
from plait.fit.reasons import rate_words
from plait.placement import Placement
from plait.surface.advising.verdict import Row
from plait.surface.advising.words import bytes_in_words

__all__ = ["Advice"]

HEADS = ("", "model", "workers", "width", "predicted", "measured", "CPU", "memory", "verdict")
#: Columns of numbers.
RIGHT = (2, 3, 4, 5, 6, 7)
CHOSEN = "->"


@dataclass(frozen=True)
class Advice:
    """Which model fits a function, and what each that was tried did. Made by `plait.advise`; print it.

    Parameters:
        function: its name.
        evidence: what was measured of it one item at a time; `None` of an async function, or with `timeout=` or
            `isolate=True`, under which it is not run in this process.
        rows: the models, simplest first.
        placement: the choice, to be passed as `model=`: the simplest within 10 % of the best.
        sentence: the choice, what it gains and why, for a person.
        code: the line to write.
        widths: model, width and items a second of every width that was tried.
        about: the evidence in words.
        notes: what else is worth knowing.
        items: how many items were run.
        failures: how many of them failed.
        seconds: how long all of it took.
        chosen: `False`: nothing succeeded, or nothing was there to try. `placement` is only the simplest then, and
            `code` is empty.
    """

    function: str
    evidence: Evidence | None
    rows: tuple[Row, ...]
    placement: Placement
    sentence: str
    code: str
    widths: tuple[tuple[str, int, float], ...] = ()
    about: str = ""
    notes: tuple[str, ...] = ()
    items: int = 0
    failures: int = 0
    seconds: float = 0.0
    chosen: bool = True

    @property
    def model(self) -> str:
        """The choice in the user's word: `"threads"`, `"processes+async"`, ..."""
        return self.placement.model

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        evidence = None if self.evidence is None else asdict(self.evidence)
        return {
            "function": self.function,
            "model": self.model if self.chosen else None,
            "placement": asdict(self.placement) if self.chosen else None,
            "sentence": self.sentence,
            "code": self.code,
            "evidence": evidence,
            "rows": [
                {
                    "model": row.model,
                    "placement": asdict(row.placement),
                    "predicted_items_per_second": row.predicted,
                    "measured_items_per_second": row.measured,
                    "cpu_cores": row.cpu,
                    "memory_bytes": row.memory,
                    "verdict": row.verdict,
                    "chosen": self.chooses(row),
                }
                for row in self.rows
            ],
            "widths": [
                {"model": model, "width": width, "items_per_second": rate} for model, width, rate in self.widths
            ],
            "notes": list(self.notes),
            "items": self.items,
            "failures": self.failures,
            "seconds": self.seconds,
        }

    def chooses(self, row: Row) -> bool:
        """Whether a row is the choice."""
        return self.chosen and row.model == self.model

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw items a second against width, into an SVG or PNG file by the path's suffix.

        Raises:
            MissingExtra: matplotlib is not installed.
            OptionError: the suffix is another.
        """
        from plait.surface.advising.plot import draw  # only who draws needs it

        draw(path, self.function, self.model, self.rows, self.widths)

    # --- showing it -------------------------------------------------------------------------------------------------

    def cells(self) -> Iterator[tuple[str, ...]]:
        """The table's rows as text, in the order of its heads."""
        for row in self.rows:
            at = row.placement
            tried = row.measured is not None
            yield (
                CHOSEN if self.chooses(row) else "",
                row.model,
                str(at.workers or 1) if at.place != "here" else "-",
                str(at.width) if at.width and (tried or at.style == "serial") else "-",
                _rate(row.predicted),
                _rate(row.measured),
                f"{row.cpu:.1f}" if row.cpu is not None else "-",
                bytes_in_words(row.memory) if row.memory is not None else "-",
                row.verdict,
            )

    def __str__(self) -> str:
        table = [HEADS, *self.cells()]
        sizes = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(_set(cell, size, at) for at, (cell, size) in enumerate(zip(row, sizes, strict=True))).rstrip()
            for row in table
        ]
        parts = [
            f"{self.function}: {self.about}",
            "\n".join(lines),
            "\n".join([self.sentence, *self.notes]),
            *([f"    {self.code}"] if self.code else []),
        ]
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return f"<Advice for {self.function}: {self.placement!r}>"

    def __rich__(self) -> Any:
        """The same for rich."""
        from rich.console import Group  # only who prints by rich needs it
        from rich.padding import Padding
        from rich.syntax import Syntax
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for at, head in enumerate(HEADS):
            table.add_column(head, justify="right" if at in RIGHT else "left", no_wrap=at != len(HEADS) - 1)
        for row, cells in zip(self.rows, self.cells(), strict=True):
            style = "bold green" if self.chooses(row) else "dim" if row.measured is None else ""
            table.add_row(*cells, style=style)
        line = Syntax(self.code, "python", theme="ansi_dark", background_color="default", word_wrap=True)
        return Group(
            Text.assemble((self.function, "bold"), f": {self.about}\n"),
            table,
            Text(f"\n{self.sentence}", style="bold"),
            *(Text(note, style="dim") for note in self.notes),
            *([Padding(line, (1, 0, 0, 4))] if self.code else []),
        )

    def _repr_html_(self) -> str:
        def cell(tag: str, at: int, text: str) -> str:
            return f"<{tag} style='text-align:{'right' if at in RIGHT else 'left'}'>{escape(text)}</{tag}>"

        head = "".join(cell("th", at, text) for at, text in enumerate(HEADS))
        body = "".join(
            "<tr>" + "".join(cell("td", at, text) for at, text in enumerate(row)) + "</tr>" for row in self.cells()
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        code = f"<pre>{escape(self.code)}</pre>" if self.code else ""
        about = f"<p><b>{escape(self.function)}</b>: {escape(self.about)}</p>"
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"{about}{table}<p><b>{escape(self.sentence)}</b></p>{notes}{code}"


def _set(cell: str, size: int, at: int) -> str:
    return cell.rjust(size) if at in RIGHT else cell.ljust(size)


def _rate(rate: float | None) -> str:
    return "-" if rate is None else rate_words(rate)
