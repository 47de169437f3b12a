# SPDX-License-Identifier: BSD-3-Clause
"""callgrind's instructions a packet in the running culvert, source and sink excluded, against a recorded file.

They do not move with the machine's mood: what they show is the code's doing.
"""

import collections
import concurrent.futures
import contextlib
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

from laboratory import Culvert
from sampling import PortStatistics, totals

RECORD = Path(__file__).with_name("instructions.json")
BOUND = 1.03
# All of 10k flows, and then some of them again.
PACKETS = 32 * 512
# How often control must have answered before counting begins: it learns, and moves tables that grow, in its turns.
TURNS = 40


def valgrind(folder):
    return (
        "valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no", "--fair-sched=yes", "--dump-line=no",
        f"--callgrind-out-file={folder}/callgrind", f"--log-file={folder}/valgrind",
    )


def count(lab, case):
    """(instructions a packet, {function: instructions a packet})"""
    folder = lab.folder / case.name
    folder.mkdir(exist_ok=True)
    program = Culvert(lab, case, valgrind(folder), f",count={PACKETS}", may_be_huge=False)
    try:
        for _ in range(TURNS):
            program.request("show drops")
            time.sleep(0.02)
        PortStatistics.go(program.statistics_file(case.source))
        program.process.wait(300)
    finally:
        program.close()
    if program.process.returncode != 0 or not program.statistics_file(1).exists():
        raise RuntimeError(f"{case.name}: it ended with {program.process.returncode}:\n{program.log_text()[-2000:]}")
    ports = [PortStatistics(program.statistics_file(number)) for number in (0, 1)]
    packets = ports[case.source].counted_packets()
    received, sent, _ = totals(ports)
    if not packets or abs(sent / received / case.copies - 1) > 0.02:
        raise RuntimeError(f"{case.name}: {sent} packets left for {received}:\n{program.log_text()[-2000:]}")
    functions = self_costs(folder)
    per = packets * case.copies
    return sum(functions.values()) / per, {name: cost / per for name, cost in functions.items()}


def self_costs(folder):
    """Each function's own instructions, from callgrind's output: cost lines that follow fn=, but not those of calls."""
    costs = collections.Counter()
    names = {}
    for path in folder.glob("callgrind.*"):
        function, is_call = None, False
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("fn="):
                match = re.match(r"fn=\((\d+)\)(?: (.*))?", line)
                if match[2]:
                    names[match[1]] = match[2]
                function = match[1]
            elif line.startswith("cfn="):
                match = re.match(r"cfn=\((\d+)\)(?: (.*))?", line)
                if match[2]:
                    names[match[1]] = match[2]
            elif line.startswith("calls="):
                is_call = True
            elif function and re.match(r"[+\-*\d]", line):
                if not is_call:
                    costs[function] += int(line.split()[1])
                is_call = False
    by_name = collections.Counter()  # one name may have several numbers
    for function, cost in costs.items():
        by_name[names[function]] += cost
    return by_name


@contextlib.contextmanager
def ended_early(lab, pool):
    """ctrl-C need not wait for what has not begun, nor for what runs."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        lab.end_programs()
        raise


def run(lab, cases, record, functions_of):
    """Counts all cases, two at a time; 0, or 1 when one costs more than recorded."""
    if shutil.which("valgrind") is None:
        raise RuntimeError("valgrind is not installed (scripts/install-dependencies test)")
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    found = {}
    failed = False
    print(f"{'case':40} {'instr.':>8} {'recorded':>9} {'ratio':>7} {'target':>7}")
    with concurrent.futures.ThreadPoolExecutor(2) as pool, ended_early(lab, pool):
        jobs = [(case, pool.submit(count, lab, case)) for case in cases]
        for case, job in jobs:
            try:
                instructions, functions = job.result()
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"{case.title[:40]:40} WRONG: {error}", flush=True)
                failed = True
                continue
            found[case.name] = round(instructions, 2)
            before = recorded.get(case.name)
            words = f"{case.title[:40]:40} {instructions:8.1f} {before or '':>9} "
            words += f"{instructions / before:7.3f}" if before else f"{'':7}"
            words += f" {case.instruction_target or '':>7}"
            if before and instructions > before * BOUND:
                failed = True
                words += "  more than the bound of +3 %"
            elif before is None and not record:
                failed = True
                words += "  not recorded"
            print(words, flush=True)
            if functions_of and (functions_of == "all" or case.name == functions_of):
                for name, cost in collections.Counter(functions).most_common(25):
                    print(f"    {cost:8.2f}  {name}")
    if record:
        RECORD.write_text(json.dumps({**recorded, **found}, indent=4) + "\n")
        print(f"recorded in {RECORD}")
        return 1 if failed else 0
    if failed:
        print("Where a case costs more than recorded and that is meant: scripts/bench instructions --record")
    return 1 if failed else 0
