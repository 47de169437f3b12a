# SPDX-License-Identifier: BSD-3-Clause
"""Measures cases: culvert and the reference take turns, and every figure is a median over many windows."""

import dataclasses
import signal

import linux_peer
import ovs
from laboratory import Culvert, spread

WINDOW_S = 0.06
REFERENCE_WINDOW_S = 0.03
WINDOWS = {False: 21, True: 9}  # quick?


class Wrong(Exception):
    """The program did not do what the case is about."""


def check(case, window):
    if not window.received:
        raise Wrong("nothing was received")
    copies = window.sent / window.received
    if abs(copies / case.copies - 1) > 0.02:
        raise Wrong(f"{copies:.3f} packets left for one that came, not {case.copies}")
    length = window.sent_bytes / window.sent
    if abs(length - case.out_bytes) > 0.5:
        raise Wrong(f"packets of {length:.1f} bytes left, not {case.out_bytes}")
    if len(window.own) != case.workers:
        raise Wrong(f"{len(window.own)} workers had packets, not {case.workers}")


def take_turns(program, reference, windows):
    """[(window of the program, the reference's clocks just before it)]"""
    taken = []
    program.pause()
    program.window(WINDOW_S)
    for _ in range(windows):
        clocks = reference.window(REFERENCE_WINDOW_S).median if reference else None
        window = program.window(WINDOW_S)
        if window.median is None or (reference and clocks is None):
            raise Wrong("a window without a packet: the machine gave it no time, or the program waits for something")
        taken.append((window, clocks))
    return taken


def row_of(name, title, taken, tsc_hz):
    own, p10, p90 = spread([window.median for window, _ in taken])
    row = {"name": name, "title": title, "own": own, "net": own, "p10": p10, "p90": p90, "windows": len(taken)}
    row["burst_p10"] = spread([sum(o[1] for o in w.own) / len(w.own) for w, _ in taken])[0]
    row["burst_p90"] = spread([sum(o[2] for o in w.own) / len(w.own) for w, _ in taken])[0]
    row["mean"] = spread([w.mean for w, _ in taken])[0]
    row["source"] = spread([w.source for w, _ in taken if w.source is not None] or [0.0])[0]
    row["sink"] = spread([w.sink for w, _ in taken if w.sink is not None] or [0.0])[0]
    row["mpps"] = spread([sum(tsc_hz / o[0] for o in w.own) / 1e6 for w, _ in taken])[0]
    if taken[0][1] is not None:
        row["reference"] = spread([clocks for _, clocks in taken])[0]
        row["ratio"] = spread([window.median / clocks for window, clocks in taken])[0]
    return row


def measure(lab, case, reference, windows):
    """One row of the table; Wrong when culvert did something else."""
    program = lab.start(case)
    try:
        taken = take_turns(program, reference, windows)
        for window, _ in taken:
            try:
                check(case, window)
            except Wrong as wrong:
                program.process.send_signal(signal.SIGCONT)
                raise Wrong(f"{wrong}; it dropped: {program.request('show drops').get('output', '').strip()}") from None
        row = row_of(case.name, case.title, taken, program.ports[0].tsc_hz)
        row["start_s"] = program.start_s
        row["hugepages"] = program.uses_hugepages
        row["group"] = case.group
        row["copies"] = case.copies
        row["workers"] = case.workers
        resident_mb = None if program.uses_hugepages else program.resident_mb()
    finally:
        program.close()
    if case.memory_target_mb:
        row["memory_mb"] = memory_mb(lab, case, resident_mb)
        row["memory_target_mb"] = case.memory_target_mb
    return row


def memory_mb(lab, case, resident_mb):
    """What the case's entries take: more than the same program with the same limits and next to no entries.

    What is touched is what counts, so without hugepages, which are touched as a whole.
    """

    def resident(of):
        program = Culvert(lab, of, may_be_huge=False)
        try:
            return program.resident_mb()
        finally:
            program.close()

    full = resident(case) if resident_mb is None else resident_mb
    return full - resident(dataclasses.replace(case, name=f"{case.name}-empty", config=case.empty_config))


def judge(case, row, rows):
    """Adds `net` (what the target is about), `target` and `met`."""
    row["net"] = row["own"]
    if case.beside is not None:
        if case.beside not in rows:
            return
        row["net"] = row["own"] - rows[case.beside]["own"]
    target = case.target
    if isinstance(target, tuple):
        base, factor = target
        target = rows[base]["net"] * factor if base in rows else None
    if target is not None:
        row["target"] = target
        row["met"] = row["net"] <= target


def testpmd_rows(lab, case, reference, windows):
    """testpmd's forwarding engines on the case's packets."""
    for mode in ("io", "mac", "csum"):
        is_reference = reference is not None and reference.name == f"testpmd-{mode}"
        program = reference if is_reference else lab.testpmd(mode, case)
        if program is None:
            return
        taken = take_turns(program, None if is_reference else reference, windows)
        row = row_of(f"testpmd-{mode}", f"dpdk-testpmd, {mode}", taken, program.ports[0].tsc_hz)
        row.update(group="peer", hugepages=program.uses_hugepages)
        if not is_reference:
            program.close()
        yield row


def ovs_row(lab, case, reference, windows):
    """OVS-DPDK on the case's packets; None where it has nothing like the case."""
    if ovs.can_do(case) is None:
        return None
    program = ovs.Ovs(lab, case)
    try:
        taken = take_turns(program, reference, windows)
        for window, _ in taken:
            check(case, window)
        row = row_of(f"ovs-{case.name}", f"  OVS-DPDK: {case.title}", taken, program.ports[0].tsc_hz)
        row.update(group="peer", beside=case.name, hugepages=program.uses_hugepages)
        return row
    finally:
        program.close()


def linux_row(lab, case, reference, windows):
    """The kernel on the case's packets: what it takes beyond the load alone. None where it cannot be had."""
    if linux_peer.can_do(case) is None:
        return None

    def clocks(is_set_up):
        program = linux_peer.Kernel(lab, case, is_set_up)
        try:
            taken = take_turns(program, reference, windows)
            received = program.ports[0].packets(0)
            if is_set_up and program.arrived() < 0.98 * received:
                raise Wrong(f"{program.arrived()} packets left for {received}")
            return row_of(f"linux-{case.name}", f"  Linux: {case.title}", taken, program.ports[0].tsc_hz)
        finally:
            program.close()

    load, row = clocks(False), clocks(True)
    row.update(net=row["own"] - load["own"], load=load["own"], group="peer", beside=case.name, hugepages=False)
    row["ratio"] = row["net"] / row["reference"] if "reference" in row else None
    row["mpps"] = row["mpps"] * row["own"] / row["net"]
    row.update(source=load["own"], sink=None)
    return row
