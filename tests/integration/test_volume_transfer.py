# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume's content on its way: good and bad servers, memory, a full disk, a daemon that dies in the middle."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.daemon import Daemon
from tests.bench.module import collections_path, expect_changed, succeed
from tests.bench.rpc_proxy import RpcProxy
from tests.conftest import BoundModule

from .file_server import FileServer

MIB = 1024 * 1024
QUARTER = MIB // 4
CONTENT = random.Random(7).randbytes(2 * MIB) + bytes(2 * MIB) + random.Random(8).randbytes(MIB)  # noqa: S311
CHECKSUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
PATH = "/var/lib/libvirt/images"
# more than a small guest's image, and far more than a module may hold
LARGE_BYTES, SMALL_BYTES, LIMIT_KIB = 1024 * MIB, 16 * MIB, 64 * 1024


@pytest.fixture(autouse=True)
def images(module: BoundModule) -> Path:
    """The directory of an active pool called nbt, as the host finds it."""
    succeed("pool", {"uri": module.daemon.uri, "name": "nbt", "type": "dir", "target": PATH, "state": "active"})
    return module.daemon.directory / "lib" / "images"


@pytest.fixture
def server() -> Iterator[FileServer]:
    """Serves CONTENT."""
    with FileServer(CONTENT) as running:
        yield running


def options(server: FileServer, way: str, **more: Any) -> dict[str, Any]:
    """The task that takes the file in this way."""
    return {"pool": "nbt", "name": "s.raw", "source": server.url(way), "checksum": CHECKSUM, "timeout": 5, **more}


@pytest.mark.parametrize("way", ["good", "chunked", "no-length", "redirect", "cut-once"])
def test_a_url_is_streamed_into_the_volume(module: BoundModule, images: Path, server: FileServer, way: str) -> None:
    results = module.four_steps("volume", options(server, way))
    assert (images / "s.raw").read_bytes() == CONTENT
    assert (images / "s.raw").stat().st_blocks * 512 < len(CONTENT) - MIB, "zeros must become holes"
    assert [path.name for path in images.iterdir()] == ["s.raw"], "no temporary copy, no marker"
    assert results[1]["volume"]["capacity_bytes"] == len(CONTENT)
    assert server.url(way) in results[0]["diff"][0]["after"]


def test_a_broken_connection_is_taken_up_where_it_broke(module: BoundModule, server: FileServer) -> None:
    assert not module("volume", options(server, "cut-once"))["failed"]
    assert [wanted for _way, wanted in server.requests] == [None, f"bytes={len(CONTENT) // 2}-"]


def test_check_mode_fetches_nothing(module: BoundModule, server: FileServer) -> None:
    expect_changed(module("volume", options(server, "good"), check=True), "check mode", changed=True)
    assert server.requests == []


def test_without_a_checksum_the_server_must_say_how_long_the_file_is(module: BoundModule, server: FileServer) -> None:
    assert not module("volume", options(server, "good", checksum=None))["failed"]
    assert not module("volume", options(server, "chunked", checksum=None, name="c.raw"))["failed"]
    unknown = module("volume", options(server, "no-length", checksum=None, name="n.raw"))
    assert unknown["failed"]
    assert "Add checksum" in unknown["msg"]


def test_login_and_its_absence(module: BoundModule, images: Path, server: FileServer) -> None:
    without = module("volume", options(server, "login"))
    assert "401" in without["msg"]
    assert "url_username" in without["msg"]
    with_login = options(server, "login", url_username="nbt", url_password="geheim", force_basic_auth=True)
    results = module.four_steps("volume", with_login)
    assert "geheim" not in json.dumps([result.get("diff") for result in results])
    assert (images / "s.raw").read_bytes() == CONTENT


BAD = {
    "missing": ("missing", {}, "not_found", "404"),
    "cut": ("cut", {}, "download_failed", f"broke after {len(CONTENT) // 2} of {len(CONTENT)} bytes"),
    "cut without checksum": ("cut", {"checksum": None}, "download_failed", "broke after"),
    "cut in chunks": ("cut-chunked", {"checksum": None}, "download_failed", "broke after"),
    "another file in the middle": ("changed", {}, "download_failed", "broke after"),
    "another checksum": ("good", {"checksum": "sha256:" + "0" * 64}, "download_failed", "was to have the checksum"),
    "another format": ("good", {"format": "qcow2"}, "bad_declaration", "is raw"),
    "too small": ("good", {"capacity": "1 MiB"}, "refused", "has 5 MiB"),
}


@pytest.mark.parametrize(("way", "more", "code", "part"), BAD.values(), ids=BAD)
def test_a_download_that_fails_leaves_nothing(
    module: BoundModule, images: Path, server: FileServer, way: str, more: dict[str, Any], code: str, part: str
) -> None:
    result = module("volume", options(server, way, **more))
    assert result["error"]["cause"]["code"] == code, result
    assert part in result["msg"]
    assert list(images.iterdir()) == []
    assert module.daemon.virsh("vol-list", "nbt").strip() == ""
    assert not module("volume", options(server, "good"))["failed"], "a second run with the fault mended finishes"


@pytest.mark.parametrize("way", ["source", "clone_of"])
def test_a_file_that_libvirt_had_not_listed_is_kept(
    module: BoundModule, images: Path, server: FileServer, way: str
) -> None:
    succeed("volume", {"uri": module.daemon.uri, "pool": "nbt", "name": "o.raw", "capacity": "1M"})
    (images / "s.raw").write_bytes(b"somebody's data")
    task = options(server, "good") if way == "source" else {"pool": "nbt", "name": "s.raw", "clone_of": "o.raw"}
    result = module("volume", task)
    assert result["error"]["cause"]["code"] == "conflict", result
    assert (images / "s.raw").read_bytes() == b"somebody's data"
    assert sorted(path.name for path in images.iterdir()) == ["o.raw", "s.raw"], "no marker may be left"


def test_a_server_that_is_not_there(module: BoundModule, server: FileServer) -> None:
    address = server.url("good")
    server.__exit__()
    result = module("volume", {"pool": "nbt", "name": "s.raw", "source": address, "checksum": CHECKSUM})
    assert result["error"]["cause"]["code"] == "download_failed", result
    assert "could not be fetched" in result["msg"]


def test_a_password_in_the_address_is_not_shown(module: BoundModule, server: FileServer) -> None:
    address = server.url("missing").replace("http://", "http://nbt:geheim@")
    result = module("volume", {"pool": "nbt", "name": "s.raw", "source": address})
    shown = {key: value for key, value in result.items() if key != "invocation"}
    assert "404" in result["msg"]
    assert "geheim" not in json.dumps(shown)


# -- memory -------------------------------------------------------------------------------------------------------

_CHILD = """
import json, re, sys
from ansible.module_utils import basic
from ansible_collections.nestbox.virt.plugins.modules import volume
basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": json.loads(sys.argv[1])}).encode()
basic._ANSIBLE_PROFILE = "legacy"
try:
    volume.main()
finally:
    # not getrusage: its figure is inherited from the process that started this one
    print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
"""


def peak_kib(daemon: Daemon, source: str, checksum: str | None) -> int:
    """The most memory that a process held which filled a volume, in KiB."""
    task = {"uri": daemon.uri, "pool": "nbt", "name": "m.raw", "source": source, "checksum": checksum}
    env = {**os.environ, "PYTHONPATH": str(collections_path())}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps(task)], env=env, capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout).get("changed"), done.stdout + done.stderr
    succeed("volume", {"uri": daemon.uri, "pool": "nbt", "name": "m.raw", "state": "absent"})
    return int(done.stderr.split()[-1])


@pytest.mark.parametrize("with_checksum", [False, True], ids=["plain", "checksum"])
def test_a_large_file_takes_no_more_memory_than_a_small_one(
    module: BoundModule, tmp_path: Path, with_checksum: bool
) -> None:
    peaks = []
    for size in (SMALL_BYTES, LARGE_BYTES):
        path = tmp_path / f"{size}.raw"
        with path.open("wb") as file:
            for start in range(0, size, size // 8):  # data between holes
                file.seek(start)
                file.write(CONTENT[:MIB])
            file.truncate(size)
        checksum = _digest_of(path) if with_checksum else None
        peaks.append(peak_kib(module.daemon, str(path), checksum))
    assert peaks[1] - peaks[0] < LIMIT_KIB, f"{peaks} KiB for {SMALL_BYTES} and {LARGE_BYTES} bytes"


def test_a_large_download_takes_no_more_memory_than_a_small_one(module: BoundModule) -> None:
    peaks = []
    for size in (SMALL_BYTES, LARGE_BYTES // 4):
        with FileServer(CONTENT[: 2 * MIB] * (size // (2 * MIB))) as server:
            peaks.append(peak_kib(module.daemon, server.url("good"), None))
    assert peaks[1] - peaks[0] < LIMIT_KIB, f"{peaks} KiB"


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        for block in iter(lambda: file.read(MIB), b""):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


# -- faults -------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(libvirtd: Daemon, module: BoundModule) -> Iterator[str]:
    """An active pool called nbt-full on a file system of 2 MiB."""
    path = "/var/lib/libvirt/nbt-full"
    libvirtd.exec("mkdir", "-p", path)
    libvirtd.exec("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path)
    succeed("pool", {"uri": module.daemon.uri, "name": "nbt-full", "type": "dir", "target": path, "state": "active"})
    yield path
    libvirtd.virsh("pool-destroy", "nbt-full", check=False)
    libvirtd.exec("umount", path)
    libvirtd.exec("rmdir", path)


@pytest.mark.parametrize("way", ["upload", "clone"])
def test_a_full_disk(module: BoundModule, libvirtd: Daemon, full: str, tmp_path: Path, way: str) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(CONTENT)
    task = {"pool": "nbt-full", "name": "s.raw", "source": str(image)}
    if way == "clone":
        succeed("volume", {"uri": module.daemon.uri, "pool": "nbt", "name": "o.raw", "source": str(image)})
        task = {"pool": "nbt-full", "name": "s.raw", "clone_of": "o.raw", "clone_pool": "nbt"}
    result = module("volume", task)
    assert result["failed"]
    assert "No space left on device" in result["msg"]
    assert "Free some space on the host" in result["msg"]
    assert libvirtd.exec("ls", full).stdout == "", "the half volume must be gone"
    libvirtd.exec("mount", "-o", "remount,size=8m", full)
    module.four_steps("volume", task)


# where the disk gets full decides which of libvirt's ways to lose the error is taken
@pytest.mark.parametrize("shape", ["data hole data", "data hole", "data", "holes"])
def test_a_disk_that_gets_full_is_seen_wherever_it_happens(
    module: BoundModule, libvirtd: Daemon, full: str, tmp_path: Path, shape: str
) -> None:
    parts = {
        "data hole data": [(0, 9), (16, 4)],
        "data hole": [(0, 9)],
        "data": [(0, 20)],
        "holes": [(n, 1) for n in range(0, 20, 2)],
    }
    image = tmp_path / "image.raw"
    with image.open("wb") as file:
        for start, length in parts[shape]:
            file.seek(start * QUARTER)
            file.write(random.Random(start).randbytes(length * QUARTER))  # noqa: S311
        file.truncate(20 * QUARTER)
    task = {"pool": "nbt-full", "name": "s.raw", "source": str(image)}
    for _attempt in range(3):
        result = module("volume", task)
        assert result["failed"] and "No space left on device" in result["msg"], result
        assert libvirtd.exec("ls", full).stdout == ""
    libvirtd.exec("mount", "-o", "remount,size=8m", full)
    assert module("volume", task)["changed"]
    assert libvirtd.path(f"{full}/s.raw").read_bytes() == image.read_bytes()


def test_what_is_taken_at_once_must_be_there_and_freed_space_counts(
    module: BoundModule, libvirtd: Daemon, full: str
) -> None:
    libvirtd.exec("dd", "if=/dev/zero", f"of={full}/else", "bs=1M", "count=1")
    libvirtd.virsh("pool-refresh", "nbt-full")
    task = {"pool": "nbt-full", "name": "s.raw", "capacity": "1536 KiB", "allocation": "1536 KiB"}
    messages = {module("volume", task, check=check)["msg"] for check in (True, False)}
    assert len(messages) == 1 and "its pool has 1 MiB left" in messages.pop()
    libvirtd.exec("rm", f"{full}/else")
    assert module("volume", task)["changed"]


def test_a_daemon_that_dies_during_an_upload(module: BoundModule, images: Path, server: FileServer) -> None:
    results: list[dict[str, Any]] = []
    run = threading.Thread(target=lambda: results.append(module("volume", options(server, "slow", capacity="6 MiB"))))
    run.start()
    assert server.half_sent.wait(60)
    _wait_for_content(images / "s.raw")
    try:
        module.daemon.kill()
        server.go_on.set()
        run.join(120)
    finally:
        module.daemon.start()
    assert results[0]["failed"]
    assert results[0]["error"]["cause"]["code"] == "connection_failed", results[0]
    assert (images / "s.raw").exists(), "half of it was written"
    seen = module("volume", options(server, "good", capacity="6 MiB"), check=True)
    assert [step["verb"] for step in seen["steps"]] == ["delete", "upload"], "it is known to be half made"
    module.four_steps("volume", options(server, "good", capacity="6 MiB"))
    assert (images / "s.raw").read_bytes() == CONTENT + bytes(MIB)
    assert [path.name for path in images.iterdir()] == ["s.raw"]


def _wait_for_content(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline, f"nothing was written to {path}"
        time.sleep(0.02)


def sweep(module: BoundModule, name: str, task: dict[str, Any], undo: dict[str, Any]) -> int:
    """Kills libvirtd at the reply of every call of a run in turn; each time a second run must finish."""
    with RpcProxy(module.daemon.socket, None, lambda: None) as counting:
        succeed(name, {"uri": counting.uri, **task})
    for number in range(1, counting.calls + 1):
        succeed(name, {"uri": module.daemon.uri, **undo})
        with RpcProxy(module.daemon.socket, number, module.daemon.kill) as proxy:
            cut = module(name, {"uri": proxy.uri, **task})
        module.daemon.start()
        assert not cut["failed"] or cut["error"]["code"] in ("connection_failed", "step_failed"), cut
        again = module(name, task)
        assert not again["failed"], f"call {number} of {counting.calls}: {again}"
        expect_changed(module(name, task, check=True), f"after call {number}", changed=False)
    return counting.calls


def test_killing_the_daemon_at_every_call_of_a_pool(module: BoundModule) -> None:
    name = {"name": "nbt-sweep", "type": "dir", "target": "/var/lib/libvirt/boot"}
    task = {**name, "state": "active", "autostart": True}
    assert sweep(module, "pool", task, {"name": "nbt-sweep", "state": "absent"}) > 5


def test_killing_the_daemon_at_every_call_of_a_volume(module: BoundModule, images: Path, tmp_path: Path) -> None:
    image, content = tmp_path / "image.raw", CONTENT[:QUARTER] + bytes(QUARTER) + CONTENT[:QUARTER]
    image.write_bytes(content)
    task = {"pool": "nbt", "name": "s.raw", "source": str(image), "capacity": "1 MiB"}
    assert sweep(module, "volume", task, {"pool": "nbt", "name": "s.raw", "state": "absent"}) > 5
    assert (images / "s.raw").read_bytes() == content + bytes(QUARTER)
