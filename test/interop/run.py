# SPDX-License-Identifier: BSD-3-Clause
"""Runs the cases of test/interop and test/vdev, each in a process of its own, some at a time.

    /usr/bin/python3 test/interop/run.py [--jobs N] [--report FILE] [--list] [--dir vdev|interop] [FILTER]

A case is a function marked @case("IDS what it shows") in a file test_*.py; it takes no arguments and fails by raising.
"""

import argparse
import collections
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(1, str(HERE.parent / "vdev"))

import culvert_lab  # noqa: E402
import hosts  # noqa: E402
import peers  # noqa: E402
from cases import CASES  # noqa: E402

PASSED, FAILED, SKIPPED = 0, 1, 77
TIMEOUT_S = 90

Running = collections.namedtuple("Running", "case output started")


def load(folders):
    for folder in folders:
        for path in sorted((HERE.parent / folder).glob("test_*.py")):
            importlib.import_module(path.stem)


def run_case(case):
    """In the child: runs the case and returns the exit code."""
    try:
        case.function()
    except culvert_lab.Skip as skip:
        print(skip)
        return SKIPPED
    except BaseException:  # the summary must see every end, also an interrupt's
        traceback.print_exc(file=sys.stdout)
        return FAILED
    return PASSED


def start(case):
    # Not a pipe: nobody reads while the case runs.
    output = tempfile.TemporaryFile("w+")
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        hosts.die_with_parent()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        code = FAILED
        try:
            code = run_case(case)
        finally:
            sys.stdout.flush()
            os._exit(code)
    return pid, Running(case, output, time.monotonic())


def finish(running, status, report):
    code = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - running.started
    verdict = {PASSED: "passed", SKIPPED: "skipped"}.get(code, "failed")
    running.output.seek(0)
    words = running.output.read()
    running.output.close()
    note = f" ({words.strip().splitlines()[-1]})" if verdict == "skipped" and words.strip() else ""
    print(f"{verdict:8}{took:6.1f} s  {running.case.name}{note}", flush=True)
    if verdict == "failed":
        print("    " + words.rstrip().replace("\n", "\n    ") + f"\n    (exit {code})", flush=True)
    report.append({"name": running.case.name, "result": verdict, "seconds": round(took, 2)})


def run_all(cases, jobs):
    report, running = [], {}
    waiting = collections.deque(cases)
    try:
        while waiting or running:
            # A case that wants the machine for itself waits until it is alone, and then keeps others out.
            alone = any(r.case.alone for r in running.values())
            while waiting and len(running) < jobs and not alone and not (waiting[0].alone and running):
                pid, started = start(waiting.popleft())
                running[pid] = started
                alone = started.case.alone
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                time.sleep(0.02)
            elif pid in running:
                finish(running.pop(pid), status, report)
            for pid, one in running.items():
                age = time.monotonic() - one.started
                if age > (TIMEOUT_S + 20) * culvert_lab.SLOW:
                    os.kill(pid, signal.SIGKILL)
                elif age > TIMEOUT_S * culvert_lab.SLOW:
                    os.kill(pid, signal.SIGTERM)
                    time.sleep(0.2)
    finally:
        for pid in running:
            os.kill(pid, signal.SIGTERM)
        for pid in running:
            os.waitpid(pid, 0)
    return report


def main():
    parser = argparse.ArgumentParser(prog="run.py")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count()))
    parser.add_argument("--report", type=Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--dir", action="append", choices=["vdev", "interop"])
    parser.add_argument("filter", nargs="?", default="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    load(options.dir or ["vdev", "interop"])
    cases = [c for c in CASES if options.filter in c.name]
    if options.list:
        print("\n".join(c.name for c in cases))
        return 0
    culvert_lab.reap_stale()
    with peers.provide(culvert_lab.PREFIX, any(c.peer for c in cases), options.jobs):
        report = run_all(cases, options.jobs)
    culvert_lab.reap_stale()
    if options.report:
        options.report.write_text(json.dumps(report))
    counts = collections.Counter(r["result"] for r in report)
    print(f"cases: {counts['passed']} good, {counts['failed']} bad, {counts['skipped']} left out")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
