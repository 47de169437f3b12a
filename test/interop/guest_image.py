# SPDX-License-Identifier: BSD-3-Clause
"""The guest's file system: an initramfs of what guest_agent.py needs, taken from this machine, and the modules."""

import os
import re
import stat
from pathlib import Path

from hosts import run

HERE = Path(__file__).resolve().parent
PYTHON = Path("/usr/bin/python3").resolve()
PROGRAMS = [PYTHON, Path("/usr/sbin/ip"), Path("/usr/sbin/bridge"), Path("/bin/sh")]
LINKS = {"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64"}
# What the kernel is told: the agent is the first process, without sites and environment.
INIT = f"rdinit={PYTHON} -- -SE /interop/guest_agent.py"


def libraries(program):
    """The shared libraries of a program or an extension module, as the loader will look for them."""
    said = run("ldd", program, check=False).stdout
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", said)}


def agent_files():
    said = run(PYTHON, "-SE", HERE / "guest_agent.py", "--files", cwd="/").stdout
    return {Path(line) for line in said.splitlines()}


def merged(path):
    """/lib/x is /usr/lib/x, with or without a machine's links between them."""
    words = str(path)
    return f"/usr{words}" if words.split("/")[1] in ("bin", "sbin", "lib", "lib64") else words


class Archive:
    """A cpio archive in the kernel's own format (its Documentation: initramfs buffer format)."""

    def __init__(self, file):
        self.file, self.names, self.size = file, set(), 0

    def write(self, data):
        self.file.write(data)
        self.size += len(data)

    def pad(self):
        self.write(b"\0" * (-self.size % 4))

    def entry(self, name, mode, data=b"", mtime=0):
        if name in self.names:
            return
        parent = os.path.dirname(name)
        if parent not in ("/", ""):
            self.entry(parent, stat.S_IFDIR | 0o755)
        self.names.add(name)
        path = name.lstrip("/").encode() + b"\0"
        fields = (len(self.names), mode, 0, 0, 1, mtime, len(data), 0, 0, 0, 0, len(path), 0)
        self.write(b"070701" + b"".join(b"%08x" % field for field in fields) + path)
        self.pad()
        self.write(data)
        self.pad()

    def add(self, path, name=None):
        """A file of this machine, under its own name or another. Python believes a .pyc by its source's time and size."""
        about = path.stat()
        self.entry(name or merged(path), stat.S_IFREG | (about.st_mode & 0o777), path.read_bytes(), int(about.st_mtime))

    def end(self):
        self.entry("/TRAILER!!!", 0)


def build(target, kernel):
    ours, others = set(), set(PROGRAMS)
    for path in agent_files():
        (ours if path.parent == HERE else others).add(path)
    for program in [path for path in others if os.access(path, os.X_OK) or ".so" in path.name]:
        others |= libraries(program)
    with open(target, "wb") as file:
        archive = Archive(file)
        for name, to in LINKS.items():
            archive.entry(name, stat.S_IFLNK | 0o777, to.encode())
        for path in sorted(others):
            archive.add(path)
        for path in sorted(ours):
            archive.add(path, f"/interop/{path.name}")
        for number, path in enumerate(kernel.modules):
            archive.add(path, f"/modules/{number:02}-{path.name}")
        archive.end()
