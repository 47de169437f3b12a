# SPDX-License-Identifier: BSD-3-Clause
"""The table, the plot, and the comparison with an earlier run."""

import os
import platform
import subprocess
import time
from pathlib import Path
from xml.sax.saxutils import escape

HEAD = f"{'case':47} {'own':>7} {'p10':>7} {'p90':>7} {'x ref':>6} {'source':>6} {'sink':>6} {'Mpps':>6} {'instr':>7} {'target':>7}"


def machine(tsc_hz, hugepages):
    model = "?"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    dpdk = subprocess.run(["pkg-config", "--modversion", "libdpdk"], stdout=subprocess.PIPE, text=True, check=False).stdout
    root = Path(__file__).resolve().parents[2]
    commit = subprocess.run(
        ["git", "-C", root, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True, check=False
    ).stdout
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"), "cpu": model, "cpus": len(os.sched_getaffinity(0)), "kernel": platform.release(),
        "dpdk": dpdk.strip(), "tsc_hz": tsc_hz, "hugepages": hugepages, "commit": commit.strip(),
    }


def describe(about):
    pages = "hugepages" if about["hugepages"] else "4 KiB pages (no hugepages configured: --no-huge)"
    return (
        f"{about['cpu']}, {about['cpus']} CPUs, TSC {about['tsc_hz'] / 1e9:.2f} GHz, Linux {about['kernel']}, DPDK {about['dpdk']}, "
        f"{pages}, {about['commit']}, {about['date']}"
    )


def line(row):
    def cell(key, width=7, digits=1):
        value = row.get(key)
        return f"{'':{width}}" if value is None else f"{value:{width}.{digits}f}"

    row = {**row, **{key: row[key] + row["net"] - row["own"] for key in ("p10", "p90")}}
    words = f"{row['title'][:47]:47} {cell('net')} {cell('p10')} {cell('p90')} {cell('ratio', 6, 2)} {cell('source', 6)} "
    words += f"{cell('sink', 6)} {cell('mpps', 6)} {cell('instructions')} {cell('target')}"
    if "met" in row:
        words += "  met" if row["met"] else f"  missed by {100 * (row['net'] / row['target'] - 1):.0f} %"
    if "instruction_target" in row and row.get("instructions") is not None:
        over = row["instructions"] > row["instruction_target"]
        words += f"; {row['instruction_target']} instr. {'missed' if over else 'met'}"
    return words


def explain():
    return (
        "own, p10, p90: culvert's TSC clocks a packet without source and sink (median, and percentiles over windows); "
        "x ref: times testpmd's csum forwarding in the windows between; Mpps: what own alone would give, all workers; "
        "instr: recorded by scripts/bench instructions."
    )


def compare(rows, old):
    """Ratios to an earlier run: of the clocks, and of the clocks against the reference in the same run."""
    before = {row["name"]: row for row in old["rows"]}
    lines = [f"{'case':47} {'old':>7} {'new':>7} {'new/old':>8} {'by reference':>13}"]
    for row in rows:
        if row["name"] not in before:
            continue
        was = before[row["name"]]
        by_reference = f"{row['ratio'] / was['ratio']:13.3f}" if row.get("ratio") and was.get("ratio") else ""
        lines.append(f"{row['title'][:47]:47} {was['own']:7.1f} {row['own']:7.1f} {row['own'] / was['own']:8.3f} {by_reference}")
    ratios = sorted(r["own"] / before[r["name"]]["own"] for r in rows if r["name"] in before)
    if ratios:
        lines.append(f"median of new/old: {ratios[len(ratios) // 2]:.3f}")
    return "\n".join(lines)


def svg(rows, about):
    """Bars of own cost, a whisker from p10 to p90, a tick where the target is."""
    left, wide, high, top = 330, 560, 22, 64
    most = max(max(row["net"], row.get("target") or 0) for row in rows) * 1.08
    scale = wide / most
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + wide + 90}" height="{top + high * len(rows) + 40}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="12" y="22" font-size="15">TSC clocks a packet, source and sink excluded</text>',
        f'<text x="12" y="42" fill="#555" font-size="11">{escape(describe(about))}</text>',
    ]
    step = next(s for s in (5, 10, 20, 50, 100, 200, 500, 1000) if most / s <= 12)
    bottom = top + high * len(rows)
    for tick in range(0, int(most) + 1, step):
        x = left + tick * scale
        out.append(f'<path d="M{x:.1f} {top - 4}V{bottom}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" fill="#555">{tick}</text>')
    for index, row in enumerate(rows):
        y = top + index * high
        fill = "#8a8a8a" if row["group"] == "testpmd" else "#2f7d4f" if row.get("met", True) else "#c2571a"
        out.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(row["title"])}</text>')
        out.append(f'<rect x="{left}" y="{y + 3}" width="{row["net"] * scale:.1f}" height="{high - 8}" fill="{fill}"/>')
        shift = row["net"] - row["own"]
        low, up = (left + (row[key] + shift) * scale for key in ("p10", "p90"))
        out.append(f'<path d="M{low:.1f} {y + 10}H{up:.1f}" stroke="black" stroke-width="1.5"/>')
        if row.get("target"):
            x = left + row["target"] * scale
            out.append(f'<path d="M{x:.1f} {y + 1}v{high - 4}" stroke="#1443a0" stroke-width="2"/>')
        out.append(f'<text x="{left + max(row["net"], row.get("target") or 0) * scale + 6:.1f}" y="{y + 14}">{row["net"]:.1f}</text>')
    out.append(f'<text x="{left}" y="{bottom + 34}" fill="#555">blue: target. Whisker: 10 % to 90 % of the windows.</text>')
    return "\n".join([*out, "</svg>"]) + "\n"
