# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a demanding operator does to domains: dumps given back, another machine, transient, passwords, odd texts."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.bench.daemon import Daemon
from tests.bench.module import collections_path, succeed
from tests.conftest import BoundModule
from tests.integration.test_domain import BARE, FORCED, IMAGES, NAME, definition, power, prepare, run

WITHOUT_CONTROLLERS = re.sub(r" *<controller.*\n", "", BARE)
TRANSIENT = {"xml": BARE, "transient": True, **FORCED}


@pytest.fixture(autouse=True)
def images(clean_libvirtd: Daemon) -> Daemon:
    """The image that the domain of these tests has."""
    clean_libvirtd.exec("qemu-img", "create", "-q", "-f", "qcow2", f"{IMAGES}/nbt-a.qcow2", "8M")
    return clean_libvirtd


# -- dumps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags", [(), ("--inactive",), ("--security-info",), ("--inactive", "--security-info")], ids=str
)
def test_a_dump_of_a_running_domain_given_back_is_unchanged(module: BoundModule, flags: tuple[str, ...]) -> None:
    run(module, {"xml": BARE, "state": "running", "tags": ["one"]})
    dump = module.daemon.virsh("dumpxml", *flags, NAME)
    before = definition(module.daemon)
    for check in (True, False):
        result = run(module, {"xml": dump, "state": "running"}, check=check)
        assert (result["changed"], result["restart_reasons"]) == (False, [])
    assert definition(module.daemon) == before


def test_a_new_domain_takes_the_words_of_a_dump_and_not_what_was_remembered_of_another(module: BoundModule) -> None:
    run(module, {"xml": BARE, "state": "running"})
    dump = module.daemon.virsh("dumpxml", NAME)
    other = re.sub(r"<uuid>.*</uuid>", "", dump).replace(f"<name>{NAME}<", "<name>nbt-two<")
    results = module.four_steps("domain", {"xml": other})
    assert not results[1]["warnings"]
    assert module.daemon.virsh("dumpxml", "nbt-two").count("last_applied") == 1
    assert "feature policy='require' name='hypervisor'" in module.daemon.virsh("dumpxml", "nbt-two")


def test_another_cpu_of_a_running_domain_waits_for_a_restart(module: BoundModule) -> None:
    run(module, {"xml": BARE, "state": "running"})
    for cpu in ({"mode": "custom", "model": "Nehalem"}, {"mode": "maximum"}):
        for result in module.four_steps("domain", {"name": NAME, "cpu": cpu}):
            assert any("cpu" in reason for reason in result["restart_reasons"])
    result = run(module, {"name": NAME, "cpu": {"mode": "custom", "model": "qemu64"}})
    assert result["restart_reasons"] == []


# -- another machine --------------------------------------------------------------------------------------------------


def test_another_machine_gets_buses_of_its_own(module: BoundModule) -> None:
    run(module, {"xml": WITHOUT_CONTROLLERS})
    mac = re.search(r"mac address='([^']+)'", definition(module.daemon))[1]  # type: ignore[index]
    for machine, root in (("pc", "pci-root"), ("q35", "pcie-root")):
        module.four_steps("domain", {"name": NAME, "machine": machine})
        assert f"model='{root}'" in definition(module.daemon)
        module.four_steps("domain", {"name": NAME, "state": "running"})
        module.four_steps("domain", {"name": NAME, "state": "stopped", **FORCED})
    assert mac in definition(module.daemon)


# -- live -------------------------------------------------------------------------------------------------------------


def test_a_guest_that_does_not_give_memory_back_is_asked_once(module: BoundModule) -> None:
    memory = {"name": NAME, "type": "qemu", "state": "running", "maximum_memory": "128 MiB"}
    results = module.four_steps("domain", {**memory, "memory": "64 MiB"})
    results = module.four_steps("domain", {**memory, "memory": "96 MiB"})
    assert [step["target"] for step in results[1]["steps"]] == [
        f"running domain {NAME} currentMemory",
        f"domain {NAME}",
    ]
    assert any("balloon" in warning for warning in results[2]["warnings"])


def test_live_vcpus_are_plugged_in_up_to_the_maximum(module: BoundModule) -> None:
    base = {"name": NAME, "type": "qemu", "state": "running", "memory": "64 MiB", "maximum_vcpus": 4}
    run(module, {**base, "vcpus": 1})
    module.four_steps("domain", {**base, "vcpus": 3})
    assert re.search(r"current\s+live\s+3", module.daemon.virsh("vcpucount", NAME))
    assert module.four_steps("domain", {**base, "vcpus": 1})[1]["restart_required"]


def test_live_a_display_gets_its_new_password_at_once(module: BoundModule) -> None:
    xml = BARE.replace("</devices>", "<graphics type='vnc' autoport='yes' passwd='{}'/></devices>")
    run(module, {"xml": xml.format("first"), "state": "running"})
    results = module.four_steps("domain", {"xml": xml.format("second"), "state": "running"})
    assert [step["verb"] for step in results[0]["steps"]] == ["redefine", "set"]
    assert "passwd='second'" in module.daemon.virsh("dumpxml", "--security-info", NAME)
    later = {"xml": xml.format("third"), "state": "running", "live": False}
    assert run(module, later)["restart_required"]
    assert "passwd='second'" in module.daemon.virsh("dumpxml", "--security-info", NAME)


def test_an_empty_title_or_description_takes_it_away(module: BoundModule) -> None:
    run(module, {"xml": BARE, "state": "running", "title": "Größe", "description": "日本"})
    module.four_steps("domain", {"name": NAME, "title": "", "description": ""})
    for xml in (definition(module.daemon), module.daemon.virsh("dumpxml", NAME)):
        assert "<title>" not in xml
        assert "<description>" not in xml


@pytest.mark.parametrize("state", ["paused", "present"])
def test_a_paused_domain_is_paused_after_the_restart_that_it_needs(module: BoundModule, state: str) -> None:
    prepare(module, "paused")
    more = {"xml": BARE.replace("'MiB'>64", "'MiB'>80"), "state": state, "restart": "if_required", **FORCED}
    module.four_steps("domain", more)
    assert power(module.daemon) == "paused"


# -- transient --------------------------------------------------------------------------------------------------------


def test_a_transient_domain_that_is_present_runs(module: BoundModule) -> None:
    module.four_steps("domain", TRANSIENT)
    assert power(module.daemon) == "running"


def test_a_transient_domain_survives_its_restart(module: BoundModule) -> None:
    run(module, TRANSIENT)
    uuid = module.daemon.virsh("domuuid", NAME)
    assert run(module, {**TRANSIENT, "state": "restarted"})["changed"]
    more = {**TRANSIENT, "xml": BARE.replace("'MiB'>64", "'MiB'>70"), "restart": "if_required"}
    module.four_steps("domain", more)
    assert module.daemon.virsh("domuuid", NAME) == uuid
    assert NAME in module.daemon.virsh("list", "--transient", "--name")


def test_a_transient_domain_becomes_a_defined_one(module: BoundModule) -> None:
    run(module, TRANSIENT)
    uuid = module.daemon.virsh("domuuid", NAME)
    module.four_steps("domain", {"xml": BARE, "autostart": True})
    assert NAME in module.daemon.virsh("list", "--persistent", "--autostart", "--name")
    assert module.daemon.virsh("domuuid", NAME) == uuid


@pytest.mark.parametrize("wish", [{"autostart": True}, {"state": "saved"}], ids=["autostart", "saved"])
def test_what_only_a_definition_can_keep_is_refused_for_a_transient_domain(
    module: BoundModule, wish: dict[str, Any]
) -> None:
    for existing in (False, True):
        if existing:
            run(module, TRANSIENT)
        for check in (True, False):
            answer = module("domain", {**TRANSIENT, **wish}, check=check)
            assert answer["error"]["code"] == "refused"
            assert "no definition" in answer["msg"]


# -- odd input --------------------------------------------------------------------------------------------------------

ODD = {
    "a control character": ({"name": NAME, "memory": "64 MiB", "tags": ["a", "b\x01"]}, "tags[1]"),
    "a zero byte": ({"name": "nbt\x00one", "memory": "64 MiB"}, "U+0000"),
    "no uuid": ({"name": NAME, "uuid": "first", "memory": "64 MiB"}, "hexadecimal"),
    "more than a message holds": (
        {"xml": BARE.replace("<os>", f"<description>{'x' * 5_000_000}</description><os>")},
        "4 MiB",
    ),
    "iothreads that are no number": (
        {"xml": BARE.replace("<os>", "<iothreads>x</iothreads><iothreadids><iothread id='y'/></iothreadids><os>")},
        "libvirt says",
    ),
    "more vCPUs than fit into memory": (
        {"xml": BARE.replace("<os>", "<cputune><vcpusched vcpus='0-999999999' scheduler='idle'/></cputune><os>")},
        "libvirt says",
    ),
    "wrong type": ({"name": NAME, "vcpus": "two"}, "vcpus"),
    "an unknown choice": ({"name": NAME, "state": "absent", "remove": ["everything"]}, "everything"),
}


@pytest.mark.parametrize("case", ODD, ids=[name.replace(" ", "-") for name in ODD])
def test_odd_input_is_a_clear_error_and_changes_nothing(module: BoundModule, images: Daemon, case: str) -> None:
    args, part = ODD[case]
    before = images.state()
    answer = module("domain", args)
    assert answer["failed"]
    assert part in answer["msg"]
    images.assert_unchanged(before, case)


def test_metadata_of_a_namespace_that_is_no_address(module: BoundModule) -> None:
    module.four_steps("domain", {"xml": BARE.replace("<os>", "<metadata><x:a xmlns:x='owner'/></metadata><os>")})


def test_a_network_whose_address_is_none_is_a_clear_error(module: BoundModule) -> None:
    answer = module("network", {"xml": "<network><name>nbt-n</name><ip address='999.1.1.1'/></network>"})
    assert answer["error"]["code"] == "bad_declaration"
    assert "999.1.1.1" in answer["msg"]


@pytest.mark.parametrize("name", ["größe", "日本", "two words", "a'b&c", "-x", "$(id)"])
def test_a_name_of_any_letters(module: BoundModule, name: str) -> None:
    module.four_steps("domain", {"name": name, "type": "qemu", "memory": "64 MiB"})
    module.four_steps("domain", {"name": name, "state": "absent"})


def test_no_rights_on_the_socket_says_what_to_do(module: BoundModule) -> None:
    for check in (True, False):
        answer = module("domain", {"name": NAME}, user="nobody", check=check)
        assert answer["error"]["code"] == "connection_failed"
        assert "become" in answer["msg"]


@pytest.mark.parametrize("missing", ["lxml", "libvirt"])
@pytest.mark.parametrize("module_name", ["domain", "domain_info", "network", "pool", "volume"])
def test_a_missing_python_module_is_named_with_its_package(tmp_path: Path, missing: str, module_name: str) -> None:
    (tmp_path / f"{missing}.py").write_text("raise ImportError\n", encoding="utf-8")
    options = {"uri": "test:///default", **({} if module_name.endswith("_info") else {"name": "x"})}
    if module_name == "volume":
        options["pool"] = "x"
    program = (
        "import json, sys; from ansible.module_utils import basic\n"
        "from ansible.module_utils.testing import patch_module_args\n"
        f"from ansible_collections.nestbox.virt.plugins.modules import {module_name} as module\n"
        f"with patch_module_args({options!r}): module.main()\n"
    )
    path = f"{tmp_path}:{collections_path()}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env={"PYTHONPATH": path, "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
    )
    assert f"python3-{missing}" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_leaves_the_guest_running_and_the_second_run_saves_it(module: BoundModule) -> None:
    run(module, {"xml": BARE, "state": "running"})
    module.daemon.exec("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/var/lib/libvirt/qemu/save")
    try:
        answer = module("domain", {"name": NAME, "state": "saved"})
    finally:
        module.daemon.exec("umount", "/var/lib/libvirt/qemu/save")
    assert "Free some space" in answer["msg"]
    assert power(module.daemon) == "running"
    module.four_steps("domain", {"name": NAME, "state": "saved"})


def test_check_mode_reads_over_a_connection_that_is_shown_no_secrets(module: BoundModule, tmp_path: Path) -> None:
    xml = BARE.replace("</devices>", "<graphics type='vnc' passwd='other'/></devices>")
    source = tmp_path / "domain.xml"
    source.write_text(xml, encoding="utf-8")
    module.daemon.virsh("define", str(source))
    checked = run(module, {"xml": xml}, check=True)
    assert any("a read-only connection is not shown it" in warning for warning in checked["warnings"])
    assert not run(module, {"xml": xml})["warnings"]


# -- at once ----------------------------------------------------------------------------------------------------------


def test_two_tasks_at_once_leave_one_whole_domain(module: BoundModule) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _n: module("domain", {"xml": BARE}), range(4)))
    assert any(not answer["failed"] for answer in answers)
    for answer in answers:
        assert not answer["failed"] or answer["error"]["code"] == "step_failed"
    assert not succeed("domain", {"uri": module.daemon.uri, "xml": BARE})["changed"]
