# SPDX-License-Identifier: BSD-3-Clause
"""The rows as a picture: a dot each on a logarithmic axis, with its target and its peers, group by group."""

import math
from xml.sax.saxutils import escape

from report import describe

LEFT, WIDE, HIGH, TOP, GAP = 320, 600, 20, 84, 12
MET, MISSED, PLAIN, PEER = "#2f7d4f", "#c2571a", "#444444", "#8a8a8a"
TARGET = "#1443a0"
TICKS = [step * 10**power for power in range(0, 6) for step in (1, 2, 5)]
PEERS = {"floor": ("#8a8a8a", "floor"), "vpp": ("#7b3fa0", "VPP"), "ovs": ("#b08900", "OVS-DPDK")}


def figures(row):
    """All that a row shows on the axis."""
    shift = row["net"] - row["own"]
    marks = [row["net"], row["p10"] + shift, row["p90"] + shift, row.get("target"), *row.get("known", {}).values()]
    return [mark for mark in marks if mark is not None and mark > 0]


def mark(kind, x, y):
    """A peer's sign."""
    color = PEERS[kind][0]
    if kind == "floor":
        return f'<path d="M{x:.1f} {y - 5}V{y + 5}" stroke="{color}" stroke-width="2"/>'
    if kind == "vpp":
        return f'<path d="M{x:.1f} {y - 5}l5 5l-5 5l-5 -5z" fill="none" stroke="{color}" stroke-width="1.5"/>'
    return f'<rect x="{x - 4:.1f}" y="{y - 4}" width="8" height="8" fill="none" stroke="{color}" stroke-width="1.5"/>'


def target_mark(x, y):
    return f'<path d="M{x:.1f} {y - 8}v16" stroke="{TARGET}" stroke-width="2.5"/>'


def color_of(row):
    if row["group"] == "peer":
        return PEER
    return PLAIN if "met" not in row else MET if row["met"] else MISSED


def legend(y):
    """One line that names every sign."""
    x, out = 12, []
    dots = ((MET, "target met"), (MISSED, "missed"), (PLAIN, "no target"), (PEER, "peer, measured here"))
    for color, words in dots:
        out.append(f'<circle cx="{x + 5}" cy="{y}" r="4.5" fill="{color}"/><text x="{x + 14}" y="{y + 4}">{words}</text>')
        x += 30 + 7 * len(words)
    out.append(target_mark(x + 5, y) + f'<text x="{x + 14}" y="{y + 4}">target</text>')
    x += 72
    for kind, (_, words) in PEERS.items():
        out.append(mark(kind, x + 5, y) + f'<text x="{x + 14}" y="{y + 4}">{words} (recorded)</text>')
        x += 104 + 7 * len(words)
    return out


def places(rows):
    """y of each row: groups stand apart."""
    y, last, found = TOP + HIGH // 2, None, []
    for row in rows:
        group = last if row.get("beside") else row["group"]
        y += GAP if last not in (None, group) else 0
        found.append(y)
        y, last = y + HIGH, group
    return found


def svg(rows, about):
    rows = [row for row in rows if row.get("net", 0) > 0]
    shown = [figure for row in rows for figure in figures(row)] or [1, 10]
    low = max(tick for tick in [1, *TICKS] if tick <= max(1, min(shown)))
    high = min(tick for tick in TICKS if tick >= max(shown) * 1.2)
    x_of = lambda value: LEFT + WIDE * math.log(max(value, low) / low) / math.log(high / low)  # noqa: E731
    ys = places(rows)
    bottom = (ys[-1] if ys else TOP) + HIGH // 2 + 4
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDE + 70}" height="{bottom + 30}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="12" y="22" font-size="15">TSC clocks a packet, source and sink excluded (logarithmic)</text>',
        f'<text x="12" y="40" fill="#555" font-size="11">{escape(describe(about))}</text>',
        *legend(60),
    ]
    for tick in (tick for tick in TICKS if low <= tick <= high):
        x = x_of(tick)
        out.append(f'<path d="M{x:.1f} {TOP - 4}V{bottom}" stroke="#e2e2e2"/>')
        out.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" fill="#555">{tick}</text>')
    for row, y in zip(rows, ys):
        shift = row["net"] - row["own"]
        first, last = x_of(row["p10"] + shift), x_of(row["p90"] + shift)
        title = row["title"].strip()
        out.append(f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(title)}</text>')
        out.append(f'<path d="M{LEFT} {y}H{LEFT + WIDE}" stroke="#f0f0f0"/>')
        out += [mark(kind, x_of(value), y) for kind, value in row.get("known", {}).items()]
        if row.get("target"):
            out.append(target_mark(x_of(row["target"]), y))
        out.append(f'<path d="M{first:.1f} {y}H{last:.1f}" stroke="{color_of(row)}" stroke-width="2"/>')
        out.append(f'<circle cx="{x_of(row["net"]):.1f}" cy="{y}" r="4.5" fill="{color_of(row)}"/>')
        out.append(f'<text x="{LEFT + WIDE + 8}" y="{y + 4}" font-size="11">{row["net"]:.1f}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"
