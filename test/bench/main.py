# SPDX-License-Identifier: BSD-3-Clause
"""What scripts/bench runs (scripts/bench --help)."""

import argparse
import fnmatch
import json
import sys
from pathlib import Path

import instructions
import measuring
import plot
import report
import streams
from catalogue import all_cases
from known import KNOWN
from laboratory import ROOT, Laboratory


def chosen(cases, options):
    if options.cases:
        patterns = options.cases.split(",")
        unknown = [p for p in patterns if not any(fnmatch.fnmatch(case.name, p) for case in cases)]
        if unknown:
            raise SystemExit(f"no case is called {', '.join(unknown)}; --list names them")
        named = [case for case in cases if any(fnmatch.fnmatch(case.name, p) for p in patterns)]
        needed = {case.beside for case in named}
        return [case for case in cases if case in named or case.name in needed]
    return [case for case in cases if case.quick] if options.quick else cases


PEERS = (("ovs", "OVS-DPDK", measuring.ovs_row), ("linux", "Linux", measuring.linux_row))


class Table:
    """The rows, printed as they come."""

    def __init__(self):
        self.rows, self.wrong = {}, []
        self.recorded = json.loads(instructions.RECORD.read_text()) if instructions.RECORD.exists() else {}
        print(report.HEAD)

    def add(self, row):
        self.rows[row["name"]] = row
        print(report.line(row), flush=True)

    def attempt(self, title, make):
        """The row that `make` gives, or None; what goes wrong is said in its place."""
        try:
            return make()
        except (measuring.Wrong, RuntimeError, AssertionError) as error:
            self.wrong.append(title)
            print(f"{title[:41]:41} WRONG: {error}", flush=True)
            return None

    def add_case(self, case, row):
        measuring.judge(case, row, self.rows)
        row["instructions"] = self.recorded.get(case.name)
        if case.instruction_target:
            row["instruction_target"] = case.instruction_target
        row["known"] = KNOWN.get(case.name, {})
        self.add(row)


def measure(lab, cases, options):
    bridge = next(case for case in all_cases() if case.name == "bridge")
    reference = lab.testpmd("csum", bridge)
    if reference is None:
        print("dpdk-testpmd (package dpdk-dev) is not installed: no reference, no ratios")
    windows = options.windows or measuring.WINDOWS[options.quick]
    table = Table()
    for case in cases:
        row = table.attempt(case.title, lambda case=case: measuring.measure(lab, case, reference, windows))
        if row is not None:
            table.add_case(case, row)
        for peer, name, make in PEERS:
            if peer in options.peer:
                row = table.attempt(f"  {name}: {case.title}", lambda case=case, make=make: make(lab, case, reference, windows))
                if row is not None:
                    table.add(row)
    if "testpmd" in options.peer:
        for row in measuring.testpmd_rows(lab, bridge, reference, windows):
            table.add(row)
    if "linux" in options.peer and not options.cases:
        for row in table.attempt("TCP streams", lambda: list(streams.rows(lab.build))) or ():
            table.add(row)
    return list(table.rows.values()), table.wrong, lab.tsc_hz


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["clocks", "instructions"], default="clocks")
    parser.add_argument("--cases", metavar="NAME,...", help="only these; patterns as the shell's")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--quick", action="store_true", help="the central cases, fewer windows: under two minutes")
    parser.add_argument("--windows", type=int, metavar="N", help="windows a case [21; quick: 9]")
    parser.add_argument("--peer", action="append", default=[], choices=["testpmd", "ovs", "linux"], help="measure that program on the same packets too; may be repeated")
    parser.add_argument("--hugepages", action="store_true", help="reserve what is needed for the time of the run (root)")
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
    parser.add_argument("--svg", metavar="FILE", help="write a plot there")
    parser.add_argument("--compare", metavar="OLD.json", help="ratios to an earlier run")
    parser.add_argument("--record", action="store_true", help="instructions: write test/bench/instructions.json")
    parser.add_argument("--functions", metavar="CASE|all", help="instructions: list the functions they are spent in")
    parser.add_argument("--build", metavar="FOLDER", default="build-release", help="what is measured [build-release]")
    return parser.parse_args()


def main():
    options = parse()
    cases = all_cases()
    if options.list:
        for case in cases:
            print(f"{case.name:18} {case.title}{' (quick)' if case.quick else ''}")
        return 0
    picked = chosen(cases, options)
    # The reference, the largest of the others, and what EAL asks for beside.
    wanted_mb = 512 + max(1024, *(case.memory_mb for case in picked)) + 256 if options.hugepages else 0
    try:
        return run(options, picked, Laboratory((ROOT / options.build).resolve(), wanted_mb))
    except (OSError, RuntimeError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 2


def run(options, picked, laboratory):
    with laboratory as lab:
        if options.what == "instructions":
            counted = [case for case in (picked if options.cases else all_cases()) if case.instructions]
            return instructions.run(lab, counted, options.record, options.functions)
        rows, wrong, tsc_hz = measure(lab, picked, options)
    if not rows:
        return 1
    about = report.machine(tsc_hz, all(row.get("hugepages", True) for row in rows if row.get("group") != "peer"))
    print(f"\n{report.describe(about)}\n{report.explain()}")
    missed = [row["name"] for row in rows if row.get("met") is False]
    print(f"{sum('met' in row for row in rows) - len(missed)} targets met, {len(missed)} missed, {len(wrong)} cases wrong")
    if options.json:
        Path(options.json).write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    if options.svg:
        Path(options.svg).write_text(plot.svg(rows, about))
    if options.compare:
        print("\n" + report.compare(rows, json.loads(Path(options.compare).read_text())))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
