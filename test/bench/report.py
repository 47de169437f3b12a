# SPDX-License-Identifier: BSD-3-Clause
"""The table, the plot, and the comparison with an earlier run."""

import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

HEAD = (
    f"{'case':41} {'own':>7} {'p10':>7} {'p90':>7} {'x ref':>6} {'source':>6} {'sink':>5} {'Mpps':>6} {'instr':>6} "
    f"{'floor':>5} {'VPP':>5} {'OVS':>5} {'target':>6}"
)


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
    pages = "hugepages" if about["hugepages"] else "4 KiB pages (too few hugepages; --hugepages reserves some)"
    return (
        f"{about['cpu']}, {about['cpus']} CPUs, TSC {about['tsc_hz'] / 1e9:.2f} GHz, Linux {about['kernel']}, DPDK {about['dpdk']}, "
        f"{pages}, {about['commit']}, {about['date']}"
    )


def line(row):
    def cell(key, width=7, digits=1):
        value = row.get(key)
        return f"{'':{width}}" if value is None else f"{value:{width}.{digits}f}"

    if "gbits" in row:
        return f"{row['title'][:41]:41} {row['gbits']:7.2f} Gbit/s"
    row = {**row, **{key: row[key] + row["net"] - row["own"] for key in ("p10", "p90")}}
    row.update(row.get("known", {}))
    words = f"{row['title'][:41]:41} {cell('net')} {cell('p10')} {cell('p90')} {cell('ratio', 6, 2)} {cell('source', 6)} "
    words += f"{cell('sink', 5)} {cell('mpps', 6)} {cell('instructions', 6, 0)} "
    words += " ".join(cell(peer, 5, 0) for peer in ("floor", "vpp", "ovs")) + f" {cell('target', 6, 0)}"
    if "met" in row:
        words += "  met" if row["met"] else f"  missed by {100 * (row['net'] / row['target'] - 1):.0f} %"
    if "instruction_target" in row and row.get("instructions") is not None:
        over = row["instructions"] > row["instruction_target"]
        words += f"; {row['instruction_target']} instr. {'missed' if over else 'met'}"
    if "memory_mb" in row:
        over = row["memory_mb"] > row["memory_target_mb"]
        words += f"; {row['memory_mb']:.0f} MB of {row['memory_target_mb']} {'missed' if over else 'met'}"
    return words


def explain():
    return (
        "own, p10, p90: culvert's TSC clocks a packet without source and sink (median, and percentiles over windows); "
        "x ref: times testpmd's csum forwarding in the windows between; Mpps: what own alone would give, all workers; "
        "instr: recorded by scripts/bench instructions; floor, VPP, OVS: measured once on a machine like this one (test/bench/known.py)."
    )


def compare(rows, old):
    """Ratios to an earlier run: of the clocks, and of the clocks against the reference in the same run."""
    before = {row["name"]: row for row in old["rows"]}
    both = [(row, before[row["name"]]) for row in rows if row["name"] in before and "own" in row]
    if not both:
        return "the earlier run has none of these cases"
    lines = [f"{'case':41} {'old':>7} {'new':>7} {'new/old':>8} {'by reference':>13}"]
    by_clocks, by_reference = [], []
    for row, was in both:
        by_clocks.append(row["own"] / was["own"])
        words = f"{row['title'][:41]:41} {was['own']:7.1f} {row['own']:7.1f} {by_clocks[-1]:8.3f}"
        if row.get("ratio") and was.get("ratio"):
            by_reference.append(row["ratio"] / was["ratio"])
            words += f" {by_reference[-1]:13.3f}"
        lines.append(words)
    words = f"{'median of the ratios':41} {'':7} {'':7} {statistics.median(by_clocks):8.3f}"
    lines.append(words + (f" {statistics.median(by_reference):13.3f}" if by_reference else ""))
    return "\n".join(lines)
