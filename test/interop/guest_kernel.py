# SPDX-License-Identifier: BSD-3-Clause
"""Debian's kernel for clouds, which has every tunnel device, in a folder of its own.

It is unpacked, never installed: an installed kernel would turn up in the boot loader of the machine that runs the tests.
"""

import os
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

from hosts import Skip, run

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "culvert"
PACKAGE = "linux-image-cloud-amd64"  # depends on the current one, whose name has the version in it
# What a guest loads; what these need in turn stands in themselves.
MODULES = [
    "virtio_pci", "virtio_net", "virtio_console", "bridge", "veth", "vxlan", "ipip", "ip_gre", "fou", "sit", "ip6_tunnel", "ip6_gre",
    "fou6", "8021q",
]


class Kernel:
    """An unpacked kernel: `image`, and `modules` in an order in which they load."""

    def __init__(self, folder):
        self.image = folder / "vmlinuz"
        files = {path.stem.replace("-", "_"): path for path in folder.glob("*.ko")}
        self.modules = []
        for name in MODULES:
            self.add(name, files)

    def add(self, name, files):
        if name not in files or files[name] in self.modules:
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", files[name].read_bytes())
        for other in depends[1].decode().split(",") if depends else []:
            self.add(other.replace("-", "_"), files)
        self.modules.append(files[name])


def current_package():
    """What PACKAGE stands for today: linux-image-6.1.0-...-cloud-amd64."""
    said = run("apt-cache", "depends", PACKAGE, check=False).stdout
    found = re.search(r"Depends: (linux-image-\S+)", said)
    return found[1] if found else None


def download(folder):
    """Path of the downloaded package."""
    words = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download"]
    for attempt in range(2):
        name = current_package()
        if name and run(*words, name, cwd=folder, check=False, timeout=300).returncode == 0:
            return next(Path(folder).glob("*.deb"))
        # No lists yet, or older ones than the mirror's.
        if attempt == 0:
            run("apt-get", "-qq", "update", check=False, timeout=300)
    raise Skip(f"{PACKAGE} cannot be downloaded")


def unpack(package, target):
    """The kernel and its network modules, flat in `target`."""
    wanted = re.compile(r"\./(boot/vmlinuz-|lib/modules/[^/]+/kernel/(net|drivers/(net|virtio|char)|lib)/.*\.ko$)")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as reader:
        with tarfile.open(fileobj=reader.stdout, mode="r|") as archive:
            for member in archive:
                if member.isfile() and wanted.match(member.name):
                    name = Path(member.name).name
                    name = "vmlinuz" if name.startswith("vmlinuz-") else name
                    (target / name).write_bytes(archive.extractfile(member).read())
    assert reader.returncode == 0 and (target / "vmlinuz").exists(), f"{package} is no kernel's package"


def kernel():
    """The kernel, downloaded when this is the first time. A later version is fetched when the cache is emptied."""
    ready = sorted(CACHE.glob("linux-image-*"))
    if not ready:
        try:
            CACHE.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Skip(f"no place for a kernel: {error}") from None
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="download-") as folder:
            package = download(folder)
            fresh = Path(folder) / "kernel"
            fresh.mkdir()
            unpack(package, fresh)
            # Two runs may have had the same idea; one of them is enough.
            target = CACHE / package.name.split("_")[0]
            try:
                fresh.rename(target)
            except OSError:
                assert target.exists()
            ready = [target]
    return Kernel(ready[-1])
