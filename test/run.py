# SPDX-License-Identifier: BSD-3-Clause
"""What scripts/test runs: builds, then unit, vdev and interop tests and lint, then the sanitizers' runs, then what a
packet costs in instructions.

Every Catch2 case, vdev or interop case and lint check counts as one test. The last line is the sum.
"""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("unit", "vdev", "interop", "lint", "sanitizers", "instructions")
# The rooms whose tests have readers and a writer at once: what ThreadSanitizer is for.
THREADED = ("unit_rcu", "unit_fdb", "unit_pipeline")
FOLDERS = {"debug": "build", "asan": "build-asan", "tsan": "build-tsan"}
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=0:second_deadlock_stack=1:exitcode=66",
}
UNIT_TIMEOUT_S = {"debug": 300, "asan": 600, "tsan": 600}


class Tally:
    """Every result so far: (where, name, passed|failed|skipped)."""

    def __init__(self):
        self.results = []

    def add(self, where, name, result):
        self.results.append((where, name, result))

    def count(self, result):
        return sum(1 for r in self.results if r[2] == result)

    def named(self, result):
        return [f"{where}: {name}" for where, name, r in self.results if r == result]


def headline(words):
    print(f"\n== {words} ({time.strftime('%H:%M:%S')})", flush=True)


def build(tally, setup, *targets):
    headline(f"build {setup}")
    built = subprocess.run([ROOT / "scripts/build", setup, *targets], cwd=ROOT, check=False).returncode == 0
    if not built:
        tally.add("build", setup, "failed")
    return built


def unit_programs(folder):
    """name -> command of the unit tests, from meson."""
    listing = subprocess.run(
        ["meson", "introspect", "--tests", folder], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    return {test["name"]: test["cmd"] for test in json.loads(listing) if any("unit" in s for s in test["suite"])}


def run_catch(name, command, setup, name_filter):
    """One Catch2 program; [(case, result)] and what it said of the failures."""
    words = [*command, "-r", "xml"] + ([f"*{name_filter}*"] if name_filter else [])
    report = ROOT / FOLDERS[setup] / "results" / f"{name}.xml"
    report.parent.mkdir(exist_ok=True)
    started = time.monotonic()
    try:
        done = subprocess.run(
            [*words, "-o", report], cwd=ROOT, env={**os.environ, **SANITIZER_OPTIONS}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=UNIT_TIMEOUT_S[setup], check=False,
        )
        code, said = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        code, said = -1, f"{(late.stdout or b'').decode(errors='replace')}\ntook longer than {late.timeout:g} s"
    text = report.read_text(errors="replace") if report.exists() else ""
    report_end = "</Catch>"
    results = []
    details = ""
    if report_end in text:
        for case in ElementTree.fromstring(text[: text.index(report_end) + len(report_end)]).iter("TestCase"):
            passed = case.find("OverallResult").get("success") == "true"
            results.append((case.get("name"), "passed" if passed else "failed"))
            if not passed:
                details += describe(case)
        if code not in (0, 1) or (code == 1 and not any(r == "failed" for _, r in results)):
            results.append((f"{name} as a whole (exit {code})", "failed"))
    else:
        results.append((f"{name} as a whole (exit {code}, no complete report)", "failed"))
        details += text[-1500:]
    if any(r == "failed" for _, r in results):
        details += "\n" + said[-6000:]
    return name, results, details, time.monotonic() - started


def describe(case):
    lines = [f"  {case.get('filename')}:{case.get('line')}: {case.get('name')}"]
    for expression in case.iter("Expression"):
        if expression.get("success") != "true":
            original, expanded = (expression.findtext(t, "").strip() for t in ("Original", "Expanded"))
            lines.append(f"    {expression.get('filename')}:{expression.get('line')}: {original} is {expanded}")
    for kind in ("Failure", "FatalErrorCondition", "Exception"):
        for found in case.iter(kind):
            lines.append(f"    {found.get('filename')}:{found.get('line')}: {(found.text or '').strip()}")
    return "\n".join(lines) + "\n"


def unit(tally, setup, only=None, name_filter=""):
    headline(f"unit tests, {setup}")
    programs = {n: c for n, c in unit_programs(FOLDERS[setup]).items() if only is None or n in only}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(run_catch, n, c, setup, name_filter) for n, c in programs.items()]
        for job in concurrent.futures.as_completed(jobs):
            name, results, details, took = job.result()
            bad = sum(1 for _, r in results if r == "failed")
            print(f"{'failed' if bad else 'passed':8}{took:6.1f} s  {name}: {len(results)} cases, {bad} failed", flush=True)
            if bad:
                print(details, flush=True)
            for case, result in results:
                tally.add(f"{name} ({setup})", case, result)


def bench_unit(tally, name_filter=""):
    """The bench's own arithmetic and printing."""
    words = ["/usr/bin/python3", "test/bench/test_bench.py"]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = re.findall(r"^(test_\w+) \(.*\.\.\. (?:.* )?(ok|FAIL|ERROR)$", done.stdout, re.MULTILINE)
    results = [(name, "passed" if said == "ok" else "failed") for name, said in found if name_filter in name]
    if done.returncode != 0 and not any(result == "failed" for _, result in results) and not name_filter:
        results.append((f"as a whole (exit {done.returncode})", "failed"))
    bad = sum(1 for _, result in results if result == "failed")
    print(f"{'failed' if bad else 'passed':8}{'':6}    bench: {len(results)} cases, {bad} failed", flush=True)
    if bad:
        print(done.stdout[-4000:], flush=True)
    for name, result in results:
        tally.add("bench", name, result)


def cases(tally, setup, folders, name_filter=""):
    headline(f"{' and '.join(folders)} tests, {setup}")
    report = ROOT / FOLDERS[setup] / "results" / f"{'-'.join(folders)}.json"
    report.parent.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    words = ["/usr/bin/python3", "test/interop/run.py", "--report", report]
    for folder in folders:
        words += ["--dir", folder]
    environment = {**os.environ, **SANITIZER_OPTIONS, "CULVERT_BUILD": str(ROOT / FOLDERS[setup])}
    if setup != "debug":
        environment["CULVERT_TEST_SLOW"] = "3"
    subprocess.run([*words, name_filter], cwd=ROOT, env=environment, check=False)
    if not report.exists():
        tally.add(f"{'-'.join(folders)} ({setup})", "the runner itself", "failed")
        return
    for one in json.loads(report.read_text()):
        tally.add(f"case ({setup})", one["name"], one["result"])


def lint(tally):
    headline("lint")
    report = ROOT / "build" / "results" / "lint.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    subprocess.run([ROOT / "scripts/lint", "--report", report], cwd=ROOT, check=False)
    found = json.loads(report.read_text()) if report.exists() else {"the linter itself": 1}
    for name, findings in found.items():
        tally.add("lint", name, "failed" if findings else "passed")


def main():
    parser = argparse.ArgumentParser(prog="scripts/test")
    for part in PARTS:
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("filter", nargs="?", default="")
    options = parser.parse_args()
    parts = [part for part in PARTS if getattr(options, part)] or list(PARTS)
    folders = [part for part in ("vdev", "interop") if part in parts]

    tally = Tally()
    if build(tally, "debug"):
        if "unit" in parts:
            unit(tally, "debug", name_filter=options.filter)
            bench_unit(tally, options.filter)
        if folders:
            cases(tally, "debug", folders, options.filter)
        if "lint" in parts and not options.filter:
            lint(tally)
    if "sanitizers" in parts:
        if build(tally, "asan"):
            unit(tally, "asan", name_filter=options.filter)
            cases(tally, "asan", ["vdev", "interop"], options.filter)
        if build(tally, "tsan", *(f"test/unit/{name.removeprefix('unit_')}/{name}" for name in THREADED)):
            unit(tally, "tsan", only=THREADED, name_filter=options.filter)

    if "instructions" in parts and not options.filter:
        headline("instructions a packet, release")
        bench = subprocess.run([ROOT / "scripts/bench", "instructions"], cwd=ROOT, check=False)
        tally.add("bench", "instructions a packet stay within their bounds", "failed" if bench.returncode else "passed")

    headline("summary")
    if os.environ.get("CI") == "true" or tally.count("skipped") < 10:
        for name in tally.named("skipped"):
            print(f"skipped: {name}")
    for name in tally.named("failed"):
        print(f"failed: {name}")
    counts = [tally.count(result) for result in ("passed", "failed", "skipped")]
    print(f"{counts[0]} passed, {counts[1]} failed, {counts[2]} skipped", flush=True)
    return 1 if counts[1] or not counts[0] else 0


if __name__ == "__main__":
    sys.exit(main())
