# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module domain on a real libvirtd: every state in four steps, merges, live changes, removal, bad input."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.bench.daemon import Daemon
from tests.bench.module import Result, succeed
from tests.conftest import BoundModule

IMAGES = "/var/lib/libvirt/images"
NVRAM = "/var/lib/libvirt/qemu/nvram"
NAME = "nbt-one"

# no operating system: it starts in a moment, and never reacts to the power button
BARE = f"""
<domain type='qemu'>
  <name>{NAME}</name>
  <memory unit='MiB'>64</memory>
  <os><type machine='q35'>hvm</type></os>
  <devices>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
    <controller type='pci' index='3' model='pcie-root-port'/>
    <controller type='pci' index='4' model='pcie-root-port'/>
    <controller type='pci' index='5' model='pcie-root-port'/>
    <controller type='pci' index='6' model='pcie-root-port'/>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='{IMAGES}/nbt-a.qcow2'/><target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
    <interface type='user'><model type='virtio'/></interface>
  </devices>
</domain>
"""
FORCED = {"force": True, "timeout": 1}


@pytest.fixture
def images(clean_libvirtd: Daemon) -> Daemon:
    """Two images in the daemon's own directory."""
    for name in ("nbt-a", "nbt-b"):
        clean_libvirtd.exec("qemu-img", "create", "-q", "-f", "qcow2", f"{IMAGES}/{name}.qcow2", "8M")
    return clean_libvirtd


def listing(daemon: Daemon, directory: str = IMAGES) -> str:
    """The files of a directory as the daemon sees it."""
    return str(daemon.exec("ls", directory).stdout)


def power(daemon: Daemon) -> str:
    """What virsh says of the domain's power."""
    return str(daemon.virsh("domstate", NAME)).strip()


def definition(daemon: Daemon) -> str:
    """The inactive XML, as virsh prints it."""
    return str(daemon.virsh("dumpxml", "--inactive", NAME))


def run(module: BoundModule, args: dict[str, Any], **options: Any) -> Result:
    """A run that must not fail."""
    return succeed("domain", {"uri": module.daemon.uri, **args}, **options)


def prepare(module: BoundModule, state: str) -> None:
    """Brings the domain to a state."""
    if state != "absent":
        run(module, {"xml": BARE, "state": state, **FORCED})


STATES = [
    ("absent", "present", "shut off"),
    ("absent", "running", "running"),
    ("absent", "paused", "paused"),
    ("absent", "restarted", "running"),
    ("present", "running", "running"),
    ("present", "paused", "paused"),
    ("running", "paused", "paused"),
    ("running", "stopped", "shut off"),
    ("running", "saved", "shut off"),
    ("paused", "running", "running"),
    ("paused", "stopped", "shut off"),
    ("paused", "saved", "shut off"),
]


@pytest.mark.parametrize(
    ("before", "state", "reached"), STATES, ids=[f"{one}-to-{two}" for one, two, _reached in STATES]
)
def test_every_way_between_two_states_holds_the_four_steps(
    module: BoundModule, images: Daemon, before: str, state: str, reached: str
) -> None:
    prepare(module, before)
    args = {"xml": BARE, "state": state, **FORCED}
    if state == "restarted":  # what is asked for is an event: each run does it
        assert run(module, args, check=True)["changed"]
        assert run(module, args)["changed"]
    else:
        module.four_steps("domain", args)
    assert power(images) == reached


def test_saved_memory_is_what_the_next_start_goes_on_from(module: BoundModule, images: Daemon) -> None:
    prepare(module, "running")
    run(module, {"name": NAME, "state": "saved"})
    assert run(module, {"name": NAME})["domain"]["managed_save"]
    steps = module.four_steps("domain", {"name": NAME, "state": "running"})
    assert [step["verb"] for step in steps[1]["steps"]] == ["start from saved memory"]
    assert power(images) == "running"


def test_absent_from_running_holds_the_four_steps(module: BoundModule, images: Daemon) -> None:
    prepare(module, "running")
    results = module.four_steps("domain", {"name": NAME, "state": "absent", **FORCED})
    assert [step["verb"] for step in results[0]["steps"]] == ["shut down", "undefine"]
    assert results[1]["domain"] is None
    assert NAME not in images.virsh("list", "--all", "--name")


@pytest.mark.usefixtures("images")
def test_restarted_is_done_once_in_a_run(module: BoundModule) -> None:
    prepare(module, "running")
    first = run(module, {"name": NAME})["domain"]["id"]
    result = run(module, {"name": NAME, "state": "restarted", **FORCED})
    assert [step["verb"] for step in result["steps"]] == ["restart"]
    assert result["domain"]["id"] == first + 1


def test_a_transient_domain_is_gone_when_it_stops(module: BoundModule, images: Daemon) -> None:
    args = {"xml": BARE, "transient": True, "state": "running"}
    module.four_steps("domain", args)
    assert "no" in re.search(r"Persistent:\s+(\w+)", images.virsh("dominfo", NAME))[1]  # type: ignore[index]
    module.four_steps("domain", {"name": NAME, "transient": True, "state": "stopped", **FORCED})
    assert NAME not in images.virsh("list", "--all", "--name")


@pytest.mark.parametrize("state", ["present", "running", "paused", "stopped"])
def test_fault_6_autostart_is_honoured_in_every_state(module: BoundModule, images: Daemon, state: str) -> None:
    prepare(module, "present")
    for wanted, word in ((True, "enable"), (False, "disable")):
        run(module, {"xml": BARE, "state": state, "autostart": wanted, **FORCED})
        assert re.search(rf"Autostart:\s+{word}", images.virsh("dominfo", NAME))
    module.four_steps("domain", {"xml": BARE, "autostart": True})


def test_fault_2_a_domain_without_mac_and_uuid_is_unchanged_and_keeps_both(
    module: BoundModule, images: Daemon, tmp_path: Path
) -> None:
    source = tmp_path / "domain.xml"
    source.write_text(BARE, encoding="utf-8")
    images.virsh("define", str(source))
    before = definition(images)
    for check in (True, False):
        assert not run(module, {"xml": BARE}, check=check)["changed"]
    assert definition(images) == before


def test_fault_3_a_difference_is_applied(module: BoundModule, images: Daemon) -> None:
    prepare(module, "present")
    uuid = images.virsh("domuuid", NAME)
    mac = re.search(r"mac address='([^']+)'", definition(images))[1]  # type: ignore[index]
    module.four_steps("domain", {"xml": BARE.replace("<memory unit='MiB'>64", "<memory unit='MiB'>96")})
    after = definition(images)
    assert "<memory unit='KiB'>98304</memory>" in after
    assert "<currentMemory unit='KiB'>98304</currentMemory>" in after
    assert images.virsh("domuuid", NAME) == uuid
    assert mac in after


@pytest.mark.parametrize("state", ["stopped", "absent"])
def test_fault_5_a_domain_that_is_gone_is_as_wished(module: BoundModule, state: str) -> None:
    if state == "absent":
        for check in (True, False):
            assert not run(module, {"name": NAME, "state": state}, check=check)["changed"]
        return
    answer = module("domain", {"name": NAME, "state": state})
    assert answer["failed"]
    assert "no such domain" in answer["msg"]


@pytest.mark.usefixtures("images")
def test_fault_12_a_domain_that_exists_is_updated_by_options(module: BoundModule) -> None:
    prepare(module, "present")
    results = module.four_steps("domain", {"name": NAME, "memory": "128 MiB", "vcpus": 2, "title": "One"})
    described = results[1]["domain"]
    assert (described["memory_kib"], described["vcpus"]) == (131072, 2)


def test_what_is_taken_out_of_the_xml_is_taken_out_of_the_domain(module: BoundModule, images: Daemon) -> None:
    with_rng = BARE.replace(
        "</devices>", "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices>"
    )
    with_both = with_rng.replace("<os>", "<iothreads>2</iothreads><os>")
    run(module, {"xml": with_both})
    assert "<rng" in definition(images)
    module.four_steps("domain", {"xml": BARE})
    assert "<rng" not in definition(images)
    assert "<iothreads>" not in definition(images)


def test_what_virsh_added_to_an_undeclared_part_stays(module: BoundModule, images: Daemon, tmp_path: Path) -> None:
    run(module, {"xml": BARE})
    device = tmp_path / "rng.xml"
    device.write_text("<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>", encoding="utf-8")
    images.virsh("attach-device", NAME, str(device), "--config")
    for check in (True, False):
        assert not run(module, {"xml": BARE}, check=check)["changed"]
    module.four_steps("domain", {"xml": BARE.replace("'MiB'>64", "'MiB'>72")})
    assert "<rng" in definition(images)


def test_an_adopted_domain_is_remembered_by_its_first_change_or_on_request(
    module: BoundModule, images: Daemon, tmp_path: Path
) -> None:
    source = tmp_path / "domain.xml"
    source.write_text(BARE.replace("<os>", "<iothreads>2</iothreads><os>"), encoding="utf-8")
    images.virsh("define", str(source))
    assert "nestbox" not in definition(images)
    args = {"xml": source.read_text(encoding="utf-8"), "adopt": True}
    results = module.four_steps("domain", args)
    assert [step["verb"] for step in results[1]["steps"]] == ["adopt"]
    module.four_steps("domain", {"xml": BARE})
    assert "<iothreads>" not in definition(images)


@pytest.mark.usefixtures("images")
def test_options_are_laid_over_the_xml(module: BoundModule) -> None:
    results = module.four_steps("domain", {"xml": BARE, "memory": "80 MiB", "tags": ["b", "a"]})
    described = results[1]["domain"]
    assert (described["memory_kib"], described["tags"]) == (81920, ["a", "b"])


@pytest.mark.usefixtures("images")
def test_live_what_can_be_changed_is_changed_now(module: BoundModule) -> None:
    prepare(module, "running")
    daemon = module.daemon
    two = BARE.replace(
        "</devices>",
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{IMAGES}/nbt-b.qcow2'/>"
        "<target dev='vdb' bus='virtio'/></disk></devices>",
    )
    results = module.four_steps("domain", {"xml": two, "state": "running"})
    assert not results[1]["restart_required"]
    assert "vdb" in daemon.virsh("domblklist", NAME)
    module.four_steps("domain", {"xml": two, "state": "running", "title": "Two disks"})
    assert "Two disks" in daemon.virsh("dumpxml", NAME)


@pytest.mark.usefixtures("images")
def test_live_a_cdrom_gets_another_medium(module: BoundModule) -> None:
    prepare(module, "running")
    module.daemon.exec("cp", "/etc/hostname", f"{IMAGES}/nbt-medium.iso")
    loaded = BARE.replace("<target dev='sda'", f"<source file='{IMAGES}/nbt-medium.iso'/><target dev='sda'")
    module.four_steps("domain", {"xml": loaded, "state": "running"})
    assert "nbt-medium.iso" in module.daemon.virsh("domblklist", NAME)


@pytest.mark.usefixtures("images")
def test_what_needs_a_restart_says_so_until_it_is_done(module: BoundModule) -> None:
    prepare(module, "running")
    more = BARE.replace("'MiB'>64", "'MiB'>96")
    results = module.four_steps("domain", {"xml": more, "state": "running"})
    for result in results:
        assert result["restart_required"]
        assert any("memory" in reason for reason in result["restart_reasons"])
    results = module.four_steps("domain", {"xml": more, "state": "running", "restart": "if_required", **FORCED})
    assert [step["verb"] for step in results[0]["steps"]] == ["restart"]
    assert not results[1]["restart_required"]


@pytest.mark.usefixtures("images")
def test_live_false_leaves_all_to_the_next_start(module: BoundModule) -> None:
    prepare(module, "running")
    results = module.four_steps("domain", {"xml": BARE, "title": "Later", "state": "running", "live": False})
    assert results[1]["restart_required"]
    assert "Later" not in module.daemon.virsh("dumpxml", NAME)


def test_a_guest_that_does_not_react_is_an_error_unless_forced(module: BoundModule, images: Daemon) -> None:
    prepare(module, "running")
    answer = module("domain", {"name": NAME, "state": "stopped", "timeout": 1})
    assert answer["failed"]
    assert answer["error"]["cause"]["code"] == "timeout"
    assert "force: true" in answer["msg"]
    assert power(images) == "running"
    module.four_steps("domain", {"name": NAME, "state": "stopped", **FORCED})


# -- removal --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pool(images: Daemon) -> Daemon:
    """The images' directory as a pool."""
    images.virsh("pool-create-as", "nbt-pool", "dir", "--target", IMAGES)
    return images


def test_fault_4_undefine_deletes_only_what_was_named(module: BoundModule, pool: Daemon) -> None:
    run(module, {"xml": BARE})
    pool.exec("cp", "/etc/hostname", f"{IMAGES}/nbt-medium.iso")
    run(
        module, {"xml": BARE.replace("<target dev='sda'", f"<source file='{IMAGES}/nbt-medium.iso'/><target dev='sda'")}
    )
    results = module.four_steps("domain", {"name": NAME, "state": "absent", "remove": ["storage"]})
    assert [step["verb"] for step in results[0]["steps"]] == ["delete", "undefine"]
    left = listing(pool)
    assert "nbt-a.qcow2" not in left
    assert "nbt-medium.iso" in left


def test_absent_without_storage_keeps_every_file(module: BoundModule, pool: Daemon) -> None:
    run(module, {"xml": BARE})
    module.four_steps("domain", {"name": NAME, "state": "absent"})
    assert "nbt-a.qcow2" in listing(pool)


def test_an_image_that_another_domain_or_overlay_uses_is_never_deleted(module: BoundModule, pool: Daemon) -> None:
    run(module, {"xml": BARE})
    run(module, {"xml": BARE.replace(NAME, "nbt-two")})
    answer = module("domain", {"name": NAME, "state": "absent", "remove": ["storage"]})
    assert answer["failed"]
    assert "nbt-two" in answer["msg"]
    run(module, {"name": "nbt-two", "state": "absent"})
    backing = ["-b", f"{IMAGES}/nbt-a.qcow2", "-F", "qcow2"]
    pool.exec("qemu-img", "create", "-q", "-f", "qcow2", *backing, f"{IMAGES}/nbt-overlay.qcow2")
    pool.virsh("pool-refresh", "nbt-pool")
    answer = module("domain", {"name": NAME, "state": "absent", "remove": ["storage"]})
    assert answer["failed"]
    assert "nbt-overlay.qcow2" in answer["msg"]
    assert "nbt-a.qcow2" in listing(pool)
    assert NAME in pool.virsh("list", "--all", "--name")


def test_a_part_that_was_not_named_is_an_error_that_names_it(module: BoundModule, images: Daemon) -> None:
    prepare(module, "running")
    images.virsh("managedsave", NAME)
    answer = module("domain", {"name": NAME, "state": "absent"})
    assert answer["error"]["needed"] == ["managed_save"]
    module.four_steps("domain", {"name": NAME, "state": "absent", "remove": ["managed_save"]})


def test_uefi_variables_and_snapshots_are_removed_by_choice(module: BoundModule, images: Daemon) -> None:
    uefi = BARE.replace("<os>", "<features><acpi/></features><os firmware='efi'>")
    run(module, {"xml": uefi, "state": "running"})
    run(module, {"name": NAME, "state": "stopped", **FORCED})
    answer = module("domain", {"name": NAME, "state": "absent"})
    assert answer["error"]["needed"] == ["nvram"]
    assert f"{NAME}_VARS" in listing(images, NVRAM)
    module.four_steps("domain", {"name": NAME, "state": "absent", "keep": ["nvram"]})
    assert f"{NAME}_VARS" in listing(images, NVRAM)
    run(module, {"xml": BARE})
    images.virsh("snapshot-create-as", NAME, "one")
    assert module("domain", {"name": NAME, "state": "absent"})["error"]["needed"] == ["snapshots"]
    module.four_steps("domain", {"name": NAME, "state": "absent", "remove": ["snapshots"]})


# -- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("images")
def test_a_graphics_password_is_applied_kept_and_never_shown(module: BoundModule) -> None:
    secret = "gUESS-me"
    with_vnc = BARE.replace("</devices>", f"<graphics type='vnc' autoport='yes' passwd='{secret}'/></devices>")
    for result in module.four_steps("domain", {"xml": with_vnc}):
        result.pop("invocation", None)
        assert secret not in str(result)
    secure = module.daemon.virsh("dumpxml", "--inactive", "--security-info", NAME)
    assert secure.count(secret) == 1
    module.four_steps("domain", {"xml": with_vnc.replace(secret, "another1")})
    module.four_steps("domain", {"name": NAME, "memory": "72 MiB"})
    assert "passwd='another1'" in module.daemon.virsh("dumpxml", "--inactive", "--security-info", NAME)


# -- bad input ------------------------------------------------------------------------------------------------------

BAD = {
    "malformed XML": ({"xml": "<domain><name>x</domain>"}, "bad_declaration", "line 1"),
    "another root": ({"xml": "<network/>"}, "bad_declaration", "<network>"),
    "entities": (
        {"xml": "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain><name>&e;</name></domain>"},
        "bad_declaration",
        "document type",
    ),
    "no name": ({"xml": "<domain type='qemu'/>"}, "bad_declaration", "no name"),
    "two names": ({"xml": BARE, "name": "other"}, "bad_declaration", "other"),
    "two uuids": (
        {"xml": "<domain><name>x</name><uuid>11111111-1111-4111-8111-111111111111</uuid></domain>", "uuid": "2" * 32},
        "bad_declaration",
        "uuid",
    ),
    "a negative timeout": ({"xml": BARE, "timeout": -1}, "bad_declaration", "timeout was given as -1"),
    "a misspelt machine": (
        {"name": NAME, "memory": "64 MiB", "machine": "q36"},
        "bad_declaration",
        "which the host's emulator for x86_64 does not have. Use one that it has, such as q35",
    ),
    "not a size": ({"name": NAME, "memory": "plenty"}, "bad_declaration", "8 GiB"),
    "two disks on one target": (
        {"name": NAME, "disks": [{"file": "/a", "target": "vda"}, {"file": "/b", "target": "vda"}]},
        "bad_declaration",
        "vda",
    ),
    "two disks on one target in xml": (
        {"xml": BARE.replace("dev='sda' bus='sata'", "dev='vda' bus='virtio'")},
        "bad_declaration",
        "vda",
    ),
    "a network that does not exist": (
        {"name": NAME, "state": "running", "interfaces": [{"network": "nbt-none"}]},
        "refused",
        "network nbt-none, which does not exist",
    ),
    "a volume that does not exist": (
        {"name": NAME, "state": "running", "disks": [{"pool": "nbt-none", "volume": "x"}]},
        "refused",
        "pool nbt-none, which does not exist",
    ),
    "nothing declared": ({"name": "nbt-none", "state": "running"}, "refused", "no such domain"),
    "nothing to save": ({"xml": BARE, "state": "saved"}, "refused", "no memory to save"),
    "an unknown option": ({"name": NAME, "memmory": "1 GiB"}, None, "memmory"),
    "a URI that does not answer": (
        {"name": NAME, "uri": "qemu+unix:///system?socket=/nonexistent/socket"},
        "connection_failed",
        "No daemon listens",
    ),
    "a driver that does not exist": ({"name": NAME, "uri": "vbocks:///session"}, "connection_failed", "vbocks"),
}


@pytest.mark.parametrize("case", BAD, ids=[name.replace(" ", "-") for name in BAD])
def test_bad_input_is_a_clear_error_and_changes_nothing(module: BoundModule, images: Daemon, case: str) -> None:
    args, code, part = BAD[case]
    before = images.state()
    answer = module("domain", args)
    assert answer["failed"], answer
    assert part in answer["msg"]
    assert answer.get("error", {}).get("code") == code
    images.assert_unchanged(before, case)


def test_a_missing_image_is_named_and_the_second_run_finishes(module: BoundModule, images: Daemon) -> None:
    args = {"xml": BARE.replace("nbt-a", "nbt-later"), "state": "running"}
    answer = module("domain", args)
    assert answer["failed"]
    assert "nbt-later.qcow2" in answer["msg"]
    assert "Make the image with nestbox.virt.volume, or correct its path" in answer["msg"]
    assert answer["msg"].count(f"domain {NAME}") == 1, "the domain is named once"
    images.exec("qemu-img", "create", "-q", "-f", "qcow2", f"{IMAGES}/nbt-later.qcow2", "8M")
    assert [step["verb"] for step in run(module, args)["steps"]] == ["start"]


def test_a_restart_loses_saved_memory_only_when_that_was_named(module: BoundModule, images: Daemon) -> None:
    prepare(module, "running")
    run(module, {"name": NAME, "state": "saved"})
    args = {"name": NAME, "memory": "72 MiB", "state": "restarted"}
    before = images.state()
    for check in (True, False):
        answer = module("domain", args, check=check)
        assert (answer["error"]["code"], answer["error"]["needed"]) == ("refused", ["managed_save"])
    images.assert_unchanged(before, "a refused restart")
    result = run(module, {**args, "remove": ["managed_save"]})
    assert (result["restart_required"], result["domain"]["managed_save"]) == (False, False)
    assert f"{72 * 1024}</memory>" in images.virsh("dumpxml", NAME)


@pytest.mark.usefixtures("images")
def test_a_name_that_is_taken_under_another_uuid_is_a_conflict(module: BoundModule) -> None:
    run(module, {"xml": BARE})
    answer = module("domain", {"name": NAME, "uuid": "11111111-1111-4111-8111-111111111111", "memory": "64 MiB"})
    assert answer["error"]["code"] == "conflict"
    taken = run(module, {"name": NAME})["domain"]["uuid"]
    answer = module("domain", {"xml": BARE.replace(NAME, "nbt-two"), "uuid": taken})
    assert answer["error"]["code"] == "conflict"
    assert not run(module, {"name": NAME, "uuid": taken.upper()})["changed"]


def test_validate_finds_a_misspelt_element_before_anything_is_done(module: BoundModule, images: Daemon) -> None:
    wrong = BARE.replace("<os>", "<memmory>1</memmory><os>")
    before = images.state()
    for more in ({}, {"transient": True, "state": "running"}):
        answers = [module("domain", {"xml": wrong, "validate": True, **more}, check=check) for check in (True, False)]
        assert [answer["error"]["code"] for answer in answers] == ["bad_declaration"] * 2
        assert "memmory" in answers[0]["msg"] and answers[0]["msg"] == answers[1]["msg"]
    images.assert_unchanged(before, "a refused definition")
    result = run(module, {"xml": wrong})
    assert any("memmory" in warning for warning in result["warnings"])
    assert not run(module, {"xml": wrong})["changed"]


@pytest.mark.usefixtures("images")
def test_what_is_too_large_to_be_remembered_is_defined_with_a_warning(module: BoundModule) -> None:
    large = BARE.replace("<os>", f"<description>{'x' * 2_200_000}</description><os>")
    foreseen, done, *_rest = module.four_steps("domain", {"xml": large})
    for result in (foreseen, done):
        assert any("too large to be remembered" in warning for warning in result["warnings"])


def test_fault_8_the_uri_is_used_as_it_is_written() -> None:
    result = succeed("domain", {"uri": "test:///default", "name": "test"})
    assert not result["changed"]
    assert result["domain"]["type"] == "test"
