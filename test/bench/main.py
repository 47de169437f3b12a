# SPDX-License-Identifier: BSD-3-Clause
"""What scripts/bench runs (scripts/bench --help)."""

import argparse
import fnmatch
import json
import sys
from pathlib import Path

import instructions
import measuring
import report
from bench_cases import all_cases
from laboratory import ROOT, Laboratory


def chosen(cases, options):
    if options.cases:
        patterns = options.cases.split(",")
        unknown = [p for p in patterns if not any(fnmatch.fnmatch(case.name, p) for case in cases)]
        if unknown:
            raise SystemExit(f"no case is called {', '.join(unknown)}; --list names them")
        return [case for case in cases if any(fnmatch.fnmatch(case.name, p) for p in patterns)]
    return [case for case in cases if case.quick] if options.quick else cases


def measure(lab, cases, options):
    bridge = next(case for case in all_cases() if case.name == "bridge")
    reference = lab.testpmd("csum", bridge)
    if reference is None:
        print("dpdk-testpmd (package dpdk-dev) is not installed: no reference, no ratios")
    recorded = json.loads(instructions.RECORD.read_text()) if instructions.RECORD.exists() else {}
    windows = options.windows or measuring.WINDOWS[options.quick]
    rows, wrong = {}, []
    print(report.HEAD)

    def add(row):
        rows[row["name"]] = row
        print(report.line(row), flush=True)

    for case in cases:
        try:
            row = measuring.measure(lab, case, reference, windows)
        except (measuring.Wrong, RuntimeError) as error:
            wrong.append(case.name)
            print(f"{case.title[:47]:47} WRONG: {error}", flush=True)
            continue
        measuring.judge(case, row, rows)
        row["instructions"] = recorded.get(case.name)
        if case.instruction_target:
            row["instruction_target"] = case.instruction_target
        add(row)
    if options.peer == "testpmd":
        for row in measuring.peer_rows(lab, bridge, reference, windows):
            add(row)
    return list(rows.values()), wrong, lab.tsc_hz


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["clocks", "instructions"], default="clocks")
    parser.add_argument("--cases", metavar="NAME,...", help="only these; patterns as the shell's")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--quick", action="store_true", help="the central cases, fewer windows: under two minutes")
    parser.add_argument("--windows", type=int, metavar="N", help="windows a case [21; quick: 9]")
    parser.add_argument("--peer", choices=["testpmd"], help="measure that program on the same packets too")
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
    with Laboratory((ROOT / options.build).resolve()) as lab:
        if options.what == "instructions":
            counted = [c for c in (chosen(cases, options) if options.cases else cases) if c.instructions]
            return instructions.run(lab, counted, options.record, options.functions)
        rows, wrong, tsc_hz = measure(lab, chosen(cases, options), options)
    if not rows:
        return 1
    about = report.machine(tsc_hz, all(row["hugepages"] for row in rows))
    print(f"\n{report.describe(about)}\n{report.explain()}")
    missed = [row["name"] for row in rows if row.get("met") is False]
    print(f"{sum('met' in row for row in rows) - len(missed)} targets met, {len(missed)} missed, {len(wrong)} cases wrong")
    if options.json:
        Path(options.json).write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    if options.svg:
        Path(options.svg).write_text(report.svg(rows, about))
    if options.compare:
        print("\n" + report.compare(rows, json.loads(Path(options.compare).read_text())))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
