# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pool and pool_info on a real libvirtd: every state and option, every kind, what is refused, a daemon that dies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.bench.daemon import Daemon
from tests.conftest import BoundModule

POOLS = sorted(Path(__file__).with_name("pools").glob("*.xml"))
UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
PATH = "/var/lib/libvirt/nbt-pool"
NETFS = {"name": "nbt", "type": "netfs", "target": PATH}
DIR = {"name": "nbt", "type": "dir", "target": PATH}


@pytest.fixture(autouse=True)
def directory(clean_libvirtd: Daemon) -> Iterator[Path]:
    """Where the host finds PATH; it does not exist at first."""
    found = clean_libvirtd.directory / "lib" / "nbt-pool"
    shutil.rmtree(found, ignore_errors=True)
    yield found
    clean_libvirtd.reset()
    shutil.rmtree(found, ignore_errors=True)


def verbs(result: dict[str, Any]) -> list[str]:
    """The steps in one word each."""
    return [step["verb"] for step in result["steps"]]


def field(daemon: Daemon, name: str, key: str) -> str:
    """One line of virsh pool-info."""
    lines = dict(line.split(":", 1) for line in daemon.virsh("pool-info", name).splitlines() if ":" in line)
    return str(lines[key]).strip()


def define(daemon: Daemon, xml: str) -> None:
    """virsh pool-define of this text."""
    daemon.exec("virsh", "-q", "pool-define", "/dev/stdin", stdin=None, input=xml)


# -- declarations that virsh made ---------------------------------------------------------------------------------


@pytest.mark.parametrize("file", POOLS, ids=lambda path: path.stem)
def test_a_pool_that_virsh_defined_is_unchanged(module: BoundModule, file: Path) -> None:
    xml = file.read_text()
    define(module.daemon, xml)
    before = module.daemon.state()
    for check in (True, False, False, True):
        result = module("pool", {"xml": xml}, check=check)
        assert not result["failed"], result
        assert result["changed"] is False, result["diff"]
    module.daemon.assert_unchanged(before, f"pool with {file.name}")


@pytest.mark.parametrize("file", POOLS, ids=lambda path: path.stem)
def test_each_kind_is_defined_from_its_xml(module: BoundModule, file: Path) -> None:
    results = module.four_steps("pool", {"xml": file.read_text(), "autostart": True})
    name = ET.parse(file).findtext("name") or ""
    assert verbs(results[1]) == ["define", "autostart"]
    assert field(module.daemon, name, "Autostart") == "yes"
    assert field(module.daemon, name, "State") == "inactive"


# -- states -------------------------------------------------------------------------------------------------------


def test_present_defines_and_leaves_the_power_alone(module: BoundModule, directory: Path) -> None:
    module.four_steps("pool", DIR)
    assert field(module.daemon, "nbt", "State") == "inactive"
    assert not directory.exists()
    module("pool", {**DIR, "state": "active"})
    assert module("pool", {**DIR, "state": "present"})["changed"] is False
    assert field(module.daemon, "nbt", "State") == "running"


def test_active_makes_the_directory_and_starts(module: BoundModule, directory: Path) -> None:
    results = module.four_steps("pool", {**DIR, "state": "active"})
    assert verbs(results[0]) == verbs(results[1]) == ["define", "build", "start"]
    assert directory.is_dir()
    assert field(module.daemon, "nbt", "State") == "running"


def test_inactive_stops_and_deletes_nothing(module: BoundModule, directory: Path) -> None:
    module("pool", {**DIR, "state": "active"})
    (directory / "kept").write_text("data")
    assert verbs(module.four_steps("pool", {"name": "nbt", "state": "inactive"})[1]) == ["stop"]
    assert (directory / "kept").read_text() == "data"


def test_absent_keeps_the_data(module: BoundModule, directory: Path) -> None:
    module("pool", {**DIR, "state": "active"})
    (directory / "kept").write_text("data")
    results = module.four_steps("pool", {"name": "nbt", "state": "absent"})
    assert verbs(results[1]) == ["stop", "undefine"]
    assert results[1]["pool"] is None
    assert (directory / "kept").read_text() == "data"


@pytest.mark.parametrize("state", ["present", "active", "inactive"])
def test_fault_6_autostart_is_honoured_in_every_state(module: BoundModule, state: str) -> None:
    for wanted in (True, False):
        module.four_steps("pool", {**DIR, "state": state, "autostart": wanted})
        assert field(module.daemon, "nbt", "Autostart") == ("yes" if wanted else "no")


def test_fault_5_a_pool_that_is_gone_is_unchanged(module: BoundModule) -> None:
    for check in (True, False):
        result = module("pool", {"name": "nbt", "state": "absent", "remove": ["storage"]}, check=check)
        assert (result["failed"], result["changed"], result["pool"]) == (False, False, None)


def test_a_transient_pool_is_made_persistent_when_it_is_declared(module: BoundModule, directory: Path) -> None:
    directory.mkdir()
    xml = f"<pool type='dir'><name>nbt</name><target><path>{PATH}</path></target></pool>"
    module.daemon.exec("virsh", "-q", "pool-create", "/dev/stdin", stdin=None, input=xml)
    assert module("pool", {"name": "nbt", "state": "active"})["changed"] is False
    assert verbs(module.four_steps("pool", {**DIR, "autostart": True})[1]) == ["define", "autostart"]
    assert field(module.daemon, "nbt", "Persistent") == "yes"


# -- differences --------------------------------------------------------------------------------------------------


def test_fault_3_a_difference_of_an_inactive_pool_is_applied(module: BoundModule) -> None:
    module("pool", {**NETFS, "source": {"host": "a.example", "directory": "/x"}})
    results = module.four_steps("pool", {"name": "nbt", "type": "netfs", "source": {"host": "b.example"}})
    assert results[1]["pool"]["source"]["hosts"] == ["b.example"]
    assert results[1]["pool"]["source"]["directory"] == "/x", "what is not declared stays"
    assert results[1]["restart_required"] is False


def test_fault_3_a_difference_of_an_active_pool_says_that_it_needs_a_restart(module: BoundModule) -> None:
    module("pool", {**DIR, "state": "active"})
    other = {"name": "nbt", "type": "dir", "target": PATH + "/other", "state": "active"}
    results = module.four_steps("pool", other)
    assert results[1]["steps"] == [{"target": "pool nbt", "verb": "define", "effect": "restart"}]
    assert all(result["restart_required"] for result in results)
    assert results[3]["restart_reasons"] == ["pool nbt: target/path is used from the next start on"]
    results = module.four_steps("pool", {**other, "restart": "if_required"})
    assert verbs(results[1]) == ["restart"]
    assert not any(result["restart_required"] for result in results[1:])
    live = ET.fromstring(module.daemon.virsh("pool-dumpxml", "nbt"))
    assert live.findtext("target/path") == PATH + "/other"


def test_permissions_are_set_by_a_build(module: BoundModule, directory: Path) -> None:
    module.four_steps("pool", {**DIR, "state": "active", "permissions": {"mode": "0750", "owner": 3, "group": 4}})
    facts = directory.stat()
    assert (facts.st_mode & 0o7777, facts.st_uid, facts.st_gid) == (0o750, 3, 4)
    module.four_steps("pool", {**DIR, "permissions": {"mode": "0755"}, "restart": "if_required"})
    assert directory.stat().st_mode & 0o7777 == 0o755
    assert directory.stat().st_uid == 3, "what is not declared stays"


def test_typed_options_are_laid_over_xml(module: BoundModule) -> None:
    xml = f"<pool type='dir'><name>nbt</name><target><path>{PATH}</path></target></pool>"
    result = module.four_steps("pool", {"xml": xml, "target": PATH + "2", "uuid": UUID})[1]
    assert (result["pool"]["path"], result["pool"]["uuid"]) == (PATH + "2", UUID)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"type": "fs", "source": {"devices": ["/dev/sdz1"], "format": "xfs"}, "target": PATH}, {"format": "xfs"}),
        ({"type": "logical", "source": {"devices": ["/dev/sdy", "/dev/sdz"], "name": "vg"}}, {"name": "vg"}),
    ],
    ids=["fs", "logical"],
)
def test_typed_kinds(module: BoundModule, options: dict[str, Any], expected: dict[str, Any]) -> None:
    result = module.four_steps("pool", {"name": "nbt", **options})[1]
    assert expected.items() <= result["pool"]["source"].items()
    # the declared list is the whole list
    shorter = {**options, "source": {**options["source"], "devices": ["/dev/sdx"]}}
    assert module.four_steps("pool", {"name": "nbt", **shorter})[1]["pool"]["source"]["devices"] == ["/dev/sdx"]


# -- building -----------------------------------------------------------------------------------------------------


def test_a_missing_directory_is_made_again(module: BoundModule, directory: Path) -> None:
    module("pool", DIR)
    assert verbs(module.four_steps("pool", {"name": "nbt", "state": "active"})[1]) == ["start"]
    assert directory.is_dir()


def test_build_never_names_the_missing_directory(module: BoundModule, directory: Path) -> None:
    result = module("pool", {**DIR, "state": "active", "build": "never"})
    assert result["failed"]
    assert f"its directory {PATH} does not exist. Make it" in result["msg"]
    assert result["error"]["cause"]["code"] == "not_found"
    directory.mkdir()
    assert not module("pool", {**DIR, "state": "active", "build": "never"})["failed"], "a second run finishes"


@pytest.fixture
def device(libvirtd: Daemon) -> Iterator[Path]:
    """A file that stands for a block device: libvirt formats it; only mounting it needs what we may not have."""
    file = libvirtd.directory / "lib" / "nbt-device"
    file.write_bytes(bytes(64 * 1024 * 1024))
    yield file
    file.unlink()


def blkid(path: Path) -> bytes:
    """ext4's magic number, two bytes at 0x438."""
    with path.open("rb") as file:
        file.seek(0x438)
        return file.read(2)


FS = {
    "name": "nbt",
    "type": "fs",
    "target": PATH,
    "source": {"devices": ["/var/lib/libvirt/nbt-device"], "format": "ext4"},
    "state": "active",
}


def test_auto_never_formats(module: BoundModule, device: Path) -> None:
    module("pool", FS)
    assert blkid(device) == b"\0\0"


def test_build_empty_formats_what_is_empty_only(module: BoundModule, device: Path) -> None:
    module("pool", {**FS, "build": "empty"})
    assert blkid(device) == b"\x53\xef"
    module("pool", {"name": "nbt", "state": "absent"})
    other = {**FS, "source": {**FS["source"], "format": "vfat"}}  # type: ignore[dict-item]
    refused = module("pool", {**other, "build": "empty"})
    assert refused["error"]["cause"]["code"] == "refused", refused
    assert "it holds something else" in refused["msg"]
    assert blkid(device) == b"\x53\xef"


def test_build_overwrite_counts_only_for_a_pool_that_the_task_makes(module: BoundModule, device: Path) -> None:
    module("pool", {**FS, "build": "overwrite"})
    assert blkid(device) == b"\x53\xef"
    with device.open("r+b") as file:
        file.seek(0x438)
        file.write(b"\1\1")
    module("pool", {"name": "nbt", "type": "fs", "target": PATH, "source": FS["source"], "build": "never"})
    module("pool", {**FS, "build": "overwrite"})
    assert blkid(device) == b"\1\1"


# -- deleting data ------------------------------------------------------------------------------------------------


def test_remove_storage_lists_every_file_first(module: BoundModule, directory: Path) -> None:
    module("pool", {**DIR, "state": "active"})
    for name in ("a.img", "b.img"):
        module.daemon.virsh("vol-create-as", "nbt", name, "1M")
    results = module.four_steps("pool", {"name": "nbt", "state": "absent", "remove": ["storage"]})
    assert [entry["before"].strip() for entry in results[0]["diff"][:2]] == [f"{PATH}/a.img", f"{PATH}/b.img"]
    assert verbs(results[1]) == ["delete", "delete", "delete", "undefine"]
    assert not directory.exists()


DOMAIN = """<domain type='qemu'><name>nbt-user</name><memory unit='MiB'>32</memory><os><type>hvm</type></os><devices>
<disk type='file' device='{device}'><source file='{path}'/><target dev='sda' bus='sata'/></disk></devices></domain>"""


@pytest.mark.parametrize("device", ["disk", "cdrom"])
def test_fault_4_a_file_that_a_domain_uses_is_not_deleted(module: BoundModule, device: str) -> None:
    module("pool", {**DIR, "state": "active"})
    module.daemon.virsh("vol-create-as", "nbt", "used.img", "1M")
    with module.daemon.connect() as connection:
        connection.defineXML(DOMAIN.format(device=device, path=f"{PATH}/used.img"))
    before = module.daemon.state()
    for check in (True, False):
        result = module("pool", {"name": "nbt", "state": "absent", "remove": ["storage"]}, check=check)
        assert result["error"]["code"] == "refused", result
        assert result["error"]["used_by"] == {f"{PATH}/used.img": ["domain nbt-user (sda)"]}
        assert "nbt-user" in result["msg"]
    module.daemon.assert_unchanged(before, "a refused removal")


def test_fault_4_an_overlay_elsewhere_keeps_its_backing_file(module: BoundModule, directory: Path) -> None:
    module("pool", {**DIR, "state": "active"})
    module("pool", {"name": "nbt-other", "type": "dir", "target": PATH + "-other", "state": "active"})
    module.daemon.virsh("vol-create-as", "nbt", "base.qcow2", "1M", "--format", "qcow2")
    overlay = ("vol-create-as", "nbt-other", "top.qcow2", "1M", "--format", "qcow2")
    module.daemon.virsh(*overlay, "--backing-vol", f"{PATH}/base.qcow2", "--backing-vol-format", "qcow2")
    result = module("pool", {"name": "nbt", "state": "absent", "remove": ["storage"]})
    assert result["error"]["used_by"] == {f"{PATH}/base.qcow2": ["overlay nbt-other/top.qcow2"]}
    assert (directory / "base.qcow2").exists()
    assert not module("pool", {"name": "nbt-other", "state": "absent", "remove": ["storage"]})["failed"]
    assert not module("pool", {"name": "nbt", "state": "absent", "remove": ["storage"]})["failed"]


def test_what_is_no_volume_is_never_deleted(module: BoundModule, directory: Path) -> None:
    module("pool", {**DIR, "state": "active"})
    (directory / "inner").mkdir()
    (directory / "inner" / "letter").write_text("data")
    result = module("pool", {"name": "nbt", "state": "absent", "remove": ["storage"]})
    assert result["failed"]
    assert (directory / "inner" / "letter").read_text() == "data"


def test_an_inactive_pool_is_not_deleted_unseen(module: BoundModule, directory: Path) -> None:
    module("pool", {**DIR, "state": "active"})
    module.daemon.virsh("vol-create-as", "nbt", "a.img", "1M")
    module("pool", {"name": "nbt", "state": "inactive"})
    result = module("pool", {"name": "nbt", "state": "absent", "remove": ["storage"]})
    assert result["error"]["cause"]["code"] == "refused", result
    assert (directory / "a.img").exists()
    vg = {"name": "vg", "type": "logical", "source": {"devices": ["/dev/sdz"]}}
    module("pool", vg)
    refused = module("pool", {"name": "vg", "state": "absent", "remove": ["storage"]}, check=True)
    assert refused["error"]["code"] == "refused"


# -- bad input ----------------------------------------------------------------------------------------------------

BAD = {
    "malformed": ({"xml": "<pool type='dir'><name>nbt</pool>"}, "bad_declaration", "line 1"),
    "another root": ({"xml": "<network><name>nbt</name></network>"}, "bad_declaration", "<network>"),
    "two names": ({"name": "nbt", "xml": "<pool type='dir'><name>other</name></pool>"}, "bad_declaration", "but other"),
    "no name": ({"xml": "<pool type='dir'/>"}, "bad_declaration", "has no name"),
    "two types": ({"name": "nbt", "type": "fs", "xml": "<pool type='dir'/>"}, "bad_declaration", "but as dir in xml"),
    "no type": ({"name": "nbt", "target": "/x"}, "bad_declaration", "without a type"),
    "no type in xml": ({"name": "nbt", "xml": "<pool/>"}, "bad_declaration", "has no type"),
    "nothing known": ({"name": "nbt", "state": "active"}, "not_found", "there is no such pool"),
    "no target": ({"name": "nbt", "type": "dir"}, "bad_declaration", "without a target. Add target"),
    "relative target": ({**DIR, "target": "images", "state": "active"}, "bad_declaration", "not an absolute path"),
    "relative target in xml": (
        {"xml": "<pool type='dir'><name>nbt</name><target><path>images</path></target></pool>"},
        "bad_declaration",
        "not an absolute path",
    ),
    "mode": ({**DIR, "permissions": {"mode": "rwx"}}, "bad_declaration", "not an octal mode"),
    "two uuids": (
        {
            "name": "nbt",
            "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "xml": "<pool type='dir'><uuid>3f2504e0-4f89-41d3-9a0c-0305e82c3302</uuid></pool>",
        },
        "bad_declaration",
        "in the option uuid",
    ),
}


@pytest.mark.parametrize(("options", "code", "part"), BAD.values(), ids=BAD)
def test_bad_declarations_are_explained(module: BoundModule, options: dict[str, Any], code: str, part: str) -> None:
    before = module.daemon.state()
    for check in (True, False):
        result = module("pool", options, check=check)
        assert result["failed"]
        assert result["error"]["code"] == code
        assert part in result["msg"]
    module.daemon.assert_unchanged(before, "a bad declaration")


def test_a_name_or_a_uuid_that_is_taken_is_a_conflict(module: BoundModule) -> None:
    first, second = "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "3f2504e0-4f89-41d3-9a0c-0305e82c3302"
    module("pool", {**DIR, "uuid": first})
    assert module("pool", {**DIR, "uuid": first.upper()})["changed"] is False
    taken_name = module("pool", {**DIR, "uuid": second})
    assert (taken_name["error"]["code"], first in taken_name["msg"]) == ("conflict", True)
    taken_uuid = module("pool", {**DIR, "name": "nbt2", "uuid": first})
    assert (taken_uuid["error"]["code"], "the pool nbt has" in taken_uuid["msg"]) == ("conflict", True)
    other_type = module("pool", {"name": "nbt", "type": "netfs", "source": {"host": "a"}})
    assert (other_type["error"]["code"], "has type dir" in other_type["msg"]) == ("conflict", True)


# -- reading ------------------------------------------------------------------------------------------------------


def test_pool_info_returns_what_pool_returns(module: BoundModule) -> None:
    made = module("pool", {**DIR, "state": "active", "autostart": True})["pool"]
    xml = next(path for path in POOLS if path.stem == "rbd").read_text()
    rbd = module("pool", {"xml": xml})["pool"]
    assert module("pool_info")["pools"] == [made, rbd]
    assert module("pool_info", {"name": ["nbt-rbd", "nbt"]})["pools"] == [rbd, made]
    missing = module("pool_info", {"name": ["nbt", "nix"]})
    assert (missing["error"]["code"], "There are: nbt, nbt-rbd" in missing["msg"]) == ("not_found", True)
    assert module("pool_info", {"name": ["nbt", "nix"], "ignore_missing": True})["pools"] == [made]


def test_the_figures_are_those_of_the_file_system(module: BoundModule, directory: Path) -> None:
    pool = module("pool", {**DIR, "state": "active"})["pool"]
    facts = shutil.disk_usage(directory)
    assert pool["capacity_bytes"] == facts.total
    assert (pool["active"], pool["persistent"], pool["volumes"]) == (True, True, 0)
    (directory / "by-hand").write_text("x")
    assert module("pool", {**DIR, "refresh": True}, check=True)["pool"]["volumes"] == 0
    refreshed = module("pool", {**DIR, "refresh": True})
    assert (refreshed["changed"], refreshed["pool"]["volumes"]) == (False, 1)


# -- a daemon that dies -------------------------------------------------------------------------------------------


def test_a_daemon_that_is_gone_is_named(module: BoundModule) -> None:
    module.daemon.kill()
    try:
        result = module("pool", DIR)
        assert result["error"]["code"] == "connection_failed"
        assert "Traceback" not in result["msg"]
    finally:
        module.daemon.start()
