# SPDX-License-Identifier: BSD-3-Clause
"""The table of drop reasons in docs/counters.md is made from lib/pipeline/drop.hpp: `drop_table.py --write` renews it."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "lib/pipeline/drop.hpp"
PAGE = ROOT / "docs/counters.md"
BEGIN, END = "<!-- made by test/lint/drop_table.py: begin -->", "<!-- end -->"
ENTRY = re.compile(r"\bX\(\s*(\w+),\s*(rx|tx),\s*([^,]+?),\s*((?:\"[^\"]*\"\s*)+)\)")


def table():
    source = SOURCE.read_text().replace("\\\n", " ")
    lines = ["| reason | side | kernel counters that move | what it means |", "|---|---|---|---|"]
    for name, side, counters, helps in ENTRY.findall(source):
        moved = ", ".join(c.strip().removeprefix("KernelCounters::") for c in counters.split("|"))
        text = "".join(re.findall(r'"([^"]*)"', helps)).replace("|", "\\|")
        lines.append(f"| `{name}` | {side} | {'' if moved == 'none' else moved} | {text} |")
    return "\n".join(lines)


def renewed():
    """The page as it should be."""
    head, rest = PAGE.read_text().split(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def findings():
    if not PAGE.exists():
        yield "docs/counters.md:1: missing"
    elif PAGE.read_text() != renewed():
        line = PAGE.read_text().split(BEGIN)[0].count("\n") + 1
        yield f"docs/counters.md:{line}: not lib/pipeline/drop.hpp's table; run python3 test/lint/drop_table.py --write"


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    PAGE.write_text(renewed())
