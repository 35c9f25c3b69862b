"""What was tried and what was lost: collected while the attacks run, printed and written at the end."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from forked import Ending

_ENGINEERS_LINES = re.compile(r"\.cxx|\.cpp\b|\(0x[0-9a-f]{6,}\)|itk::|vtk[A-Z]\w+ \(0x")
_NAME = re.compile(r"[^A-Za-z0-9]+")
_MOST_MESSAGE = 4000
_SHOWN = 8
"""Findings of one kind that are printed in full; all are kept in files."""


@dataclass
class Row:
    """One attack: how often it was tried, how each try ended, and what it lost."""

    name: str
    tried: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    lost: list[str] = field(default_factory=list)


class Table:
    """Rows in the order in which they were begun. What was lost is written to a folder at once."""

    def __init__(self, folder: Path) -> None:
        self.rows: dict[str, Row] = {}
        self._folder = folder

    @property
    def lost(self) -> int:
        return sum(len(row.lost) for row in self.rows.values())

    def tried(
        self, name: str, ending: Ending, case: str, complaints: list[str], note: str = "", **files: bytes
    ) -> None:
        """Note a try.

        Args:
            name: of the attack.
            ending: how the process ended.
            case: which try, so that it can be repeated.
            complaints: what is wrong with it; none for a try that was survived.
            note: what is worth counting beside the ending.
            files: name with ``_`` for ``.`` → contents that the try needs.
        """
        row = self.rows.setdefault(name, Row(name))
        row.tried += 1
        row.endings[str(ending).split(" after ")[0] + (f", {note}" if note else "")] += 1
        row.slowest = max(row.slowest, ending.seconds)
        if not complaints:
            return
        row.lost.append(f"{case}: {'; '.join(complaints)}")
        if len(row.lost) <= _SHOWN:
            print(f"  LOST  {name}, {row.lost[-1]}"[:600], flush=True)
        folder = self._folder / _NAME.sub("-", f"{name} {case}").strip("-")[:120]
        folder.mkdir(parents=True, exist_ok=True)
        for file, contents in files.items():
            (folder / file.replace("_", ".")).write_bytes(contents)
        text = "\n".join((row.lost[-1], f"{ending}, {ending.seconds:.1f} s", "", ending.output, ending.errors))
        (folder / "what-happened.txt").write_text(text, encoding="utf-8", errors="replace")

    def text(self) -> str:
        """The table, in Markdown."""
        lines = ["| attack | tried | lost | how they ended | slowest |", "| --- | ---: | --- | --- | ---: |"]
        for row in self.rows.values():
            endings = ", ".join(f"{ending}: {count}" for ending, count in row.endings.most_common())
            lost = f"**{len(row.lost)}**" if row.lost else "nothing"
            lines.append(f"| {row.name} | {row.tried:,} | {lost} | {endings} | {row.slowest:.1f} s |")
        return "\n".join(lines)


def complaints_about(ending: Ending, allowed: tuple[int, ...] = (0, 2), given: int = 0) -> list[str]:
    """What is wrong with how a process ended, whatever was asked of it.

    Args:
        ending: how it ended.
        allowed: exit codes.
        given: characters that the user gave, and that may be said again.
    """
    found = []
    if ending.timed_out or ending.signal or ending.code not in allowed:
        found.append(str(ending))
    if "Traceback (most recent" in ending.errors or "defect in medsam-segment" in ending.errors:
        last = next((line for line in reversed(ending.errors.splitlines()) if line.strip()), "")
        found.append(f"a traceback: {last.strip()[:200]}")
    elif _ENGINEERS_LINES.search(ending.errors):
        line = next(line for line in ending.errors.splitlines() if _ENGINEERS_LINES.search(line))
        found.append(f"a line for engineers: {line.strip()[:200]}")
    if "\x1b" in ending.errors:
        found.append("an escape sequence on the terminal")
    if ending.code == 2 and not ending.errors.strip():
        found.append("refused without a word")
    if len(ending.errors) > _MOST_MESSAGE + given and not found:
        found.append(f"{len(ending.errors)} characters on the terminal")
    return found
