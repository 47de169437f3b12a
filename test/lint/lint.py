# SPDX-License-Identifier: BSD-3-Clause
"""The checks of scripts/lint. Each yields findings "FILE:LINE: message"; no finding, no output.

What a clang-tidy or header check found to be clean is remembered in ~/.cache/culvert-lint under a hash of everything the
result depends on, so an unchanged file costs nothing, in a fresh clone neither.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import drop_table

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "culvert-lint"
CACHE_DAYS = 30
TIDY_UNITS = BUILD / "results" / "tidy"
# The hot path joins conditions by & where a branch each would cost more.
# What is shadowed may be another source's: g++ judges that.
TIDY_WORDS = ("-Wno-unknown-warning-option", "-Wno-bitwise-instead-of-logical", "-Wno-shadow", "-ferror-limit=0")
TIDY_TOGETHER = 8  # sources; more would leave a core idle at the end
TOP = ("app", "lib", "test", "scripts", "docs", ".ci")
SPDX = "SPDX-License-Identifier: BSD-3-Clause"
LENGTH_BUDGET = 400
LENGTH_LIMIT = 500

# docs/architecture.md: the rooms, and what each may include beside itself. Arrows run one way.
MAY_INCLUDE = {
    "lib/net": [],
    "lib/rcu": ["lib/net"],
    "lib/fdb": ["lib/net", "lib/rcu"],
    "lib/route": ["lib/net", "lib/rcu"],
    "lib/encap": ["lib/net", "lib/rcu", "lib/route"],
    "lib/pipeline": ["lib/net", "lib/rcu", "lib/fdb", "lib/route", "lib/encap"],
    "lib/control": ["lib/net", "lib/rcu", "lib/fdb", "lib/route", "lib/encap", "lib/pipeline"],
    "app": ["lib"],
    "test": ["lib", "app"],
}


def all_files():
    """Our files, root-relative, sorted; what builds and interpreters leave behind is not among them."""
    found = [p for p in ROOT.iterdir() if p.is_file() and p.name != "compile_commands.json"]
    for top in TOP:
        for folder, folders, names in os.walk(ROOT / top):
            folders[:] = [f for f in folders if f != "__pycache__"]
            found += [Path(folder) / name for name in names]
    return sorted(p.relative_to(ROOT) for p in found if not p.name.endswith(".pyc"))


def is_cpp(path):
    return path.suffix in (".hpp", ".cpp", ".h", ".c")


def is_shell(path):
    return path.suffix == ".sh" or first_line(path).endswith(("bash", "/sh"))


def is_python(path):
    return path.suffix == ".py" or "python" in first_line(path)


def first_line(path):
    return (read(path).splitlines() or [""])[0] if path.suffix == "" else ""


def read(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def run(*words):
    return subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def findings_of(output):
    """A compiler's or a linter's lines as ours; what names no line is left out."""
    for line in output.splitlines():
        match = re.match(r"^(?:\./)?(/?[^:\s]+):(\d+)(?::\d+)?: (?:fatal )?(.*)$", line)
        if match and not match[3].startswith("note:"):
            yield f"{os.path.relpath(ROOT / match[1], ROOT)}:{match[2]}: {match[3]}"


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(function, items):
            yield from result


def check_text(files):
    for path in files:
        data = (ROOT / path).read_bytes()
        if b"\0" in data:
            continue
        text = data.decode("utf-8", errors="replace")
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield f"{path}:{number}: trailing space"
            if "\t" in line and is_cpp(path):
                yield f"{path}:{number}: tab"
        if text and not text.endswith("\n"):
            yield f"{path}:{text.count(chr(10)) + 1}: no newline at the end of the file"


def check_spdx(files):
    for path in files:
        if is_cpp(path) or is_python(path) or is_shell(path) or path.name in ("meson.build", "meson_options.txt"):
            lines = read(path).splitlines()
            where = 2 if lines and lines[0].startswith("#!") else 1
            if len(lines) < where or SPDX not in lines[where - 1]:
                yield f"{path}:{where}: no '{SPDX}' here"


def check_length(files):
    for path in files:
        count = len(read(path).splitlines()) if is_cpp(path) or is_python(path) or is_shell(path) else 0
        if count > LENGTH_LIMIT:
            yield f"{path}:{count}: {count} lines, more than {LENGTH_LIMIT}"
        elif count > LENGTH_BUDGET:
            print(f"{path}:{count}: warning: {count} lines, over the budget of {LENGTH_BUDGET}")


def room_of(path):
    parts = Path(path).parts
    return "/".join(parts[:2]) if parts[0] == "lib" else parts[0]


def own_includes(path):
    for number, line in enumerate(read(path).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if match:
            yield number, match[1]


def check_includes(files):
    for path in filter(is_cpp, files):
        room = room_of(path)
        if room not in MAY_INCLUDE:
            yield f"{path}:1: '{room}' is no room (test/lint/lint.py has the table)"
            continue
        for number, target in own_includes(path):
            if not (ROOT / target).is_file():
                yield f"{path}:{number}: \"{target}\" is not a path from the root"
                continue
            there = room_of(target)
            if there != room and there not in MAY_INCLUDE[room] and there.split("/")[0] not in MAY_INCLUDE[room]:
                yield f"{path}:{number}: {room} must not include {there}"


def check_format(files):
    def one(path):
        found = list(findings_of(run("clang-format", "--dry-run", "--Werror", str(path)).stdout))
        lines = sorted({int(f.split(":")[1]) for f in found})
        return [f"{path}:{lines[0]}: {len(lines)} lines are laid out otherwise than by clang-format -i"] if lines else []

    yield from in_parallel(one, filter(is_cpp, files))


def check_shell(files):
    scripts = [str(p) for p in files if is_shell(p)]
    yield from findings_of(run("shellcheck", "--format=gcc", "--external-sources", *scripts).stdout)


def check_python(files):
    for path in filter(is_python, files):
        try:
            compile(read(path), str(path), "exec")
        except SyntaxError as error:
            yield f"{path}:{error.lineno}: {error.msg}"


def check_conformance(_files):
    script = ROOT / "scripts/conformance"
    if not script.exists():
        yield "scripts/conformance:1: missing"
        return
    result = run(str(script), "check")
    if result.returncode != 0:
        yield from list(findings_of(result.stdout)) or [f"docs/conformance.md:1: {result.stdout.strip()}"]


def check_counters(_files):
    yield from drop_table.findings()


def closure(path, seen=None):
    """`path` and all of ours that it includes."""
    seen = {} if seen is None else seen
    if path not in seen and (ROOT / path).is_file():
        seen[path] = True
        for _, target in own_includes(path):
            closure(target, seen)
    return sorted(seen)


class Remembered:
    """The clean results of earlier runs."""

    def __init__(self, *common):
        self.common = "\0".join(common).encode()
        CACHE.mkdir(parents=True, exist_ok=True)

    def slot(self, path, words):
        digest = hashlib.sha256(self.common + "\0".join(words).encode())
        for part in closure(str(path)):
            digest.update(part.encode() + b"\0" + (ROOT / part).read_bytes())
        return CACHE / digest.hexdigest()

    def is_clean(self, path, words):
        slot = self.slot(path, words)
        if slot.exists():
            os.utime(slot)
        return slot.exists()

    def add(self, path, words):
        self.slot(path, words).touch()


def forget_old():
    """Drops what no run has asked for in a while."""
    for slot in CACHE.glob("*") if CACHE.is_dir() else ():
        if time.time() - slot.stat().st_mtime > CACHE_DAYS * 86400:
            slot.unlink(missing_ok=True)


def compile_commands():
    """path -> the compiler's words, of every file of ours in the debug set-up (built first: headers may be generated)."""
    build = run("scripts/build", "debug")
    if build.returncode != 0:
        sys.exit(f"{build.stdout}\nscripts/lint: the build failed, so its compile commands are no use")
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    commands = {}
    for entry in entries:
        path = os.path.relpath(Path(entry["directory"], entry["file"]).resolve(), ROOT)
        if path.split("/")[0] in ("app", "lib", "test"):
            commands[path] = shlex.split(entry["command"])
    return commands


def check_headers(files):
    """Each header compiles alone, with the flags of a source beside it, or else of the same room."""
    commands = compile_commands()
    by_folder = {Path(path).parent: path for path in sorted(commands)}
    by_room = {room_of(path): path for path in sorted(commands)}
    compiler = run("c++", "--version").stdout
    remembered = Remembered("header", compiler)

    def one(path):
        source = by_folder.get(Path(path).parent) or by_room.get(room_of(path)) or next(iter(by_room.values()))
        words = judged(commands[source])
        if remembered.is_clean(path, words):
            return []
        result = subprocess.run(
            ["c++", *words, f"-I{ROOT}", "-fsyntax-only", "-x", "c++", "-"],
            cwd=BUILD, input=f'#include "{path}"\n', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if result.returncode == 0:
            remembered.add(path, words)
            return []
        return [f"{path}:1: does not compile alone"] + [f for f in findings_of(result.stdout) if "error:" in f]

    yield from in_parallel(one, [p for p in files if p.suffix == ".hpp"])


def judged(words):
    """Of a compile command, what a front end needs to read the source."""
    kept = [w for w in words if re.match(r"^-(I|isystem|D|std|W|f|m|include)", w) or w.endswith("config.h")]
    return [w for w in kept if w not in ("-MD", "-MQ", "-MF")]


def tidy_together(paths, words):
    """clang-tidy's findings in `paths`, read as one: {path: findings}.

    Nine tenths of its time go into the headers, so sources of a folder share one reading of them. Names of unnamed
    namespaces may clash then: what clang cannot read is read again in two halves, those that it stumbled over and the
    others.
    """
    unit = TIDY_UNITS / paths[0]
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text("".join(f'#include "{ROOT / path}"\n' for path in paths))
    result = subprocess.run(
        ["clang-tidy", "--quiet", "--checks=-bugprone-suspicious-include", str(unit),
         "--", f"-I{ROOT}", *words, *TIDY_WORDS],
        cwd=BUILD, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    found = list(dict.fromkeys(findings_of(result.stdout)))
    unread = {f.split(":")[0] for f in found if "clang-diagnostic-error" in f}
    if unread and len(paths) > 1:
        parts = [[p for p in paths if p not in unread], [p for p in paths if p in unread]]
        if not all(parts):
            parts = [[path] for path in paths]
        return {path: f for part in parts for path, f in tidy_together(part, words).items()}
    if result.returncode != 0 and not found:
        found = [f"{paths[0]}:1: clang-tidy failed: {result.stdout.strip()[-300:]}"]
    # A header's findings are those of all that include it.
    headers = [f for f in found if f.split(":")[0] not in paths]
    return {path: [f for f in found if f.startswith(f"{path}:")] + headers for path in paths}


def check_tidy(_files):
    commands = compile_commands()
    rules = [read(Path(folder, ".clang-tidy")) for folder in (".", "test")]
    remembered = Remembered("tidy", run("clang-tidy", "--version").stdout, *rules)
    folders = {}
    for path in sorted(commands):
        if not remembered.is_clean(path, commands[path]):
            folders.setdefault((str(Path(path).parent), *judged(commands[path])), []).append(path)
    # What stands for the sources stands under the rules that they are under.
    (TIDY_UNITS / "test").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "test/.clang-tidy", TIDY_UNITS / "test")
    groups = []
    for paths in folders.values():
        count = -(-len(paths) // TIDY_TOGETHER)
        groups += [paths[first::count] for first in range(count)]

    def one(paths):
        found = tidy_together(paths, judged(commands[paths[0]]))
        for path in paths:
            if not found[path]:
                remembered.add(path, commands[path])
        return [f for path in paths for f in found[path]]

    # The largest first, so that no core waits for the last one.
    groups.sort(key=lambda paths: -sum((ROOT / path).stat().st_size for path in paths))
    yield from dict.fromkeys(in_parallel(one, groups))


CHECKS = {
    "text": check_text,
    "spdx": check_spdx,
    "length": check_length,
    "includes": check_includes,
    "format": check_format,
    "shell": check_shell,
    "python": check_python,
    "conformance": check_conformance,
    "counters": check_counters,
    "headers": check_headers,
    "tidy": check_tidy,
}


def main():
    parser = argparse.ArgumentParser(prog="scripts/lint")
    parser.add_argument("--report", type=Path, help="write {check: number of findings} here")
    parser.add_argument("checks", nargs="*", metavar="CHECK", choices=[[], *CHECKS])
    options = parser.parse_args()
    files = all_files()
    forget_old()
    counts = {}
    for name in options.checks or CHECKS:
        found = list(CHECKS[name](files))
        counts[name] = len(found)
        for finding in found:
            print(f"{finding} [{name}]")
        print(f"lint {name}: {'clean' if not found else str(len(found)) + ' findings'}", flush=True)
    if options.report:
        options.report.write_text(json.dumps(counts))
    return 1 if any(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
