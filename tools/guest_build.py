# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the builders of guest images share: a guest's files and modules, a small initramfs, the cache of results."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import lzma
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nestbox-virt"
ROOT_LABEL = "nestbox-root"
_START = time.monotonic()


class BuildError(Exception):
    """Why there is no image, for the person who asked for it."""


def say(text: str) -> None:
    """One line of progress."""
    print(f"{time.monotonic() - _START:5.1f}s {text}", file=sys.stderr, flush=True)


def run(*argv: str | Path, **options: object) -> str:
    """A command's output; its own words when it fails."""
    done = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, argv[:6]))} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return str(done.stdout)


# -- the guest's files -----------------------------------------------------------------------------------------


def merge_usr(root: Path) -> None:
    """/bin, /sbin, /lib and /lib64 as links into /usr."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def copy(source: Path, root: Path, name: str) -> None:
    """Copies one file to the same place below another root; a link becomes what it points to."""
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    path = source / name
    for _hop in range(8):
        if not path.is_symlink():
            break
        link = os.readlink(path)
        path = source / link.lstrip("/") if link.startswith("/") else path.parent / link
    shutil.copy2(path, target)


def copy_modules(source: Path, root: Path, wanted: Iterable[str]) -> str:
    """The kernel modules and those that they depend on; returns the kernel's release."""
    release = next((source / "usr/lib/modules").iterdir()).name
    below = f"usr/lib/modules/{release}"
    if not (source / below / "modules.dep").exists():
        run("depmod", "-b", source, release)
    needs = {}
    for line in (source / below / "modules.dep").read_text().splitlines():
        name, _, others = line.partition(":")
        needs[re.sub(r"\.ko.*", "", Path(name).name).replace("-", "_")] = [name, *others.split()]
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        copy(source, root, f"{below}/{name}")
    for module in wanted:
        # what is not a module is built into the kernel, or unknown to this version of it
        for name in needs.get(module, ()):
            copy(source, root, f"{below}/{name}")
    run("depmod", "-b", root, release)
    return release


# -- images ----------------------------------------------------------------------------------------------------


def pack(root: Path, archive: Path) -> None:
    """An initramfs of everything below `root`."""
    names = "\0".join(sorted(str(path.relative_to(root)) for path in root.rglob("*")))
    with archive.open("wb") as stream:
        subprocess.run(
            ["cpio", "--quiet", "-0", "-o", "-H", "newc", "-R", "0:0"],
            input=names.encode(), stdout=stream, cwd=root, check=True,
        )  # fmt: skip


def pack_disk_initramfs(busybox_from: Path, modules_from: Path, work: Path, modules: Sequence[str]) -> Path:
    """The small initramfs that mounts the file system with our label and hands over to its /init."""
    small = work / "small"
    merge_usr(small)
    copy(busybox_from, small, "usr/bin/busybox")
    copy_modules(modules_from, small, modules)
    (small / "new").mkdir()
    shutil.copy2(TOOLS / "guest" / "disk-init", small / "init")
    pack(small, work / "small.img")
    return work / "small.img"


def make_root_disk(root: Path, image: Path, size_mib: int, *options: str) -> None:
    """An ext4 file system with our label and everything below `root`."""
    run("mke2fs", "-q", "-t", "ext4", "-L", ROOT_LABEL, "-m", "0", *options, "-d", root, image, f"{size_mib}M")


def uncompressed(kernel: Path) -> bytes:
    """The ELF image inside a bzImage; it starts some seconds sooner without hardware virtualisation."""
    data = kernel.read_bytes()
    return lzma.LZMADecompressor().decompress(data[data.find(b"\xfd7zXZ\x00") :])


# -- the cache -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Builder:
    """One kind of image: how to make it, and what it is made of."""

    script: Path
    # directories and files whose change asks for another image, besides the script and this file
    files: Sequence[Path]
    # what the script runs, and the Debian package that has it
    needs: Mapping[str, str]
    # fills the first directory, with the second to work in
    build: Callable[[Path, Path], None]
    # before the directory's name in the cache
    prefix: str = ""

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.script.name

    def recipe_hash(self) -> str:
        """A hash of the recipe's files and of the release that the packages come from."""
        tops = [self.script, Path(__file__).resolve(), *self.files]
        files = {path for top in tops for path in (top, *top.rglob("*")) if path.is_file()}
        digest = hashlib.sha256()
        for path in sorted(files):
            digest.update(f"{path.relative_to(TOOLS)} {path.stat().st_mode & 0o111}\n".encode() + path.read_bytes())
        digest.update(Path("/etc/debian_version").read_bytes().split(b".")[0])
        return digest.hexdigest()[:12]

    def provide(self, out: Path | None) -> Path:
        """Builds, unless `out` already has what this recipe gives; an interrupted build leaves the old one."""
        key = self.recipe_hash()
        out = (out or CACHE / "images" / f"{self.prefix}{key}").absolute()
        out.parent.mkdir(parents=True, exist_ok=True)
        with (out.parent / f".{self.prefix}lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stamp = out / "recipe"
            if stamp.exists() and stamp.read_text().strip() == key:
                return out
            if out.exists() and not stamp.exists() and any(out.iterdir()):
                raise BuildError(f"{out} exists and was not built by this script; name another directory or remove it")
            with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
                work = Path(temporary)
                (work / "out").mkdir()
                self.build(work / "out", work)
                for path in (work / "out").iterdir():
                    path.chmod(0o644)
                (work / "out" / "recipe").write_text(key + "\n")
                if out.exists():
                    out.rename(work / "old")
                (work / "out").chmod(0o755)
                (work / "out").rename(out)
        say(f"done: {out}")
        return out

    def main(self, description: str, *, become: Callable[[], None]) -> int:
        """The command line; `become` gets the rights that the build needs, or raises BuildError."""
        parser = argparse.ArgumentParser(prog=self.name, description=description, allow_abbrev=False)
        parser.add_argument("--needs", action="store_true", help="print the Debian packages that this script needs")
        parser.add_argument("out", nargs="?", type=Path, help="where to (default: a directory in the user's cache)")
        arguments = parser.parse_args()
        if arguments.needs:
            print(*sorted(set(self.needs.values())))
            return 0
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        missing = sorted({package for program, package in self.needs.items() if not shutil.which(program)})
        if missing or not Path("/etc/debian_version").exists():
            what = " ".join(missing) or "a Debian system (packages come from its sources)"
            print(f"{self.name}: install first: {what}", file=sys.stderr)
            return 1
        os.environ.update(LC_ALL="C.UTF-8", DEBIAN_FRONTEND="noninteractive")
        # cleans up as after an interrupt from the keyboard
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            become()
            os.umask(0o022)
            print(self.provide(arguments.out))
        except KeyboardInterrupt:
            print(f"{self.name}: interrupted; what was there before is kept", file=sys.stderr)
            return 130
        except (BuildError, OSError) as error:
            print(f"{self.name}: {error}", file=sys.stderr)
            return 1
        return 0
