# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nested KVM by the role, on a machine with SVM: live, for the next load, and as the guest inside sees it.

One booted machine and one nested guest for all; each test goes on from where the one before it ended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.ansible_run import Run, run_play, run_remote_module
from tests.bench.daemon import Daemon
from tests.bench.debian_guest import DebianGuest, DebianSettings
from tests.bench.guest_image import guest_image, make_key

FILE = "/etc/modprobe.d/kvm_amd.conf"
LIVE = "/sys/module/kvm_amd/parameters"
SCRIPT = Path(__file__).with_name("nested_guest.py")
TASK = "Set the options of the KVM module"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianGuest]:
    """A booted Debian with the nested guest's kernel in the directory of images."""
    directory: Path = tmp_path_factory.mktemp("nested")
    tree, disk = directory / "tree", directory / "tree.img"
    tree.mkdir()
    for path in (guest_image().kernel, guest_image().initrd, SCRIPT):
        shutil.copyfile(path, tree / path.name)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(disk), "192M"], check=True)
    shutil.rmtree(tree)
    with Daemon(f"nested-{os.getpid()}") as daemon:
        settings = DebianSettings(name="outer", cpu="EPYC", memory_mib=1024, more_disks=[disk])
        with DebianGuest(daemon, directory, make_key(directory), settings) as started:
            started.call("mount -o ro /dev/vdb /mnt && cp /mnt/[!l]* /var/lib/libvirt/images && umount /mnt")
            yield started


def script(machine: DebianGuest, verb: str) -> str:
    """One word to the script inside."""
    return machine.call(f"python3 /var/lib/libvirt/images/{SCRIPT.name} {verb}")


def nested(machine: DebianGuest) -> dict[str, Any]:
    """What the nested guest is now; waits until it answers."""
    found: dict[str, Any] = json.loads(script(machine, "look"))
    return found


def role(machine: DebianGuest, check: bool = False, **variables: Any) -> Run:
    """The role's own tasks for nested virtualisation; the whole role is what the scenarios run."""
    task = {
        "name": "Role",
        "ansible.builtin.include_role": {"name": "nestbox.virt.hypervisor", "tasks_from": "nested"},
    }
    return run_play(machine, [task], check=check, variables=variables)


def live(machine: DebianGuest, parameter: str = "nested") -> str:
    return machine.call(f"cat {LIVE}/{parameter}")


def files(machine: DebianGuest) -> str:
    return machine.call("cd /etc/modprobe.d && md5sum * 2>/dev/null; true")


def test_a_nested_guest_has_svm(machine: DebianGuest) -> None:
    assert live(machine) == "1", "the module's own default"
    script(machine, "start")
    assert nested(machine)["svm"] is True


def test_the_report_on_this_machine(machine: DebianGuest) -> None:
    result = run_remote_module(machine, "hypervisor_info", {})
    assert result["changed"] is False
    found = result["hypervisor"]
    assert found["cpu"]["virtualization"] == "svm"
    assert found["kvm"] == {
        "module": "kvm_amd",
        "loaded": True,
        "device": {"mode": "0660", "owner": "root", "group": "kvm"},
        "usable": True,
        "reason": None,
        "qemu_user": "libvirt-qemu",
        "usable_by_qemu": True,
        "usable_by_qemu_known_from": "libvirt",
    }
    default = {"module": "kvm_amd", "declared": [], "effective": True, "effective_from": "default", "live": True}
    assert found["nested"] == default
    assert found["cgroup_version"] == 2
    assert {"qemu", "kvm"} <= set(found["libvirt"]["guests"][-1]["domain_types"])
    assert [entry["result"] for entry in found["validation"] if "hardware virt" in entry["check"]] == ["pass"]
    assert found["reasons"] == {}


def test_stop_guests_does_it_and_the_guest_runs_again_without_svm(machine: DebianGuest) -> None:
    """And without a word about guests nothing is changed while one runs."""
    before, guest = files(machine), nested(machine)
    run = role(machine, hypervisor_nested=False)
    assert run.rc != 0
    refused = run.task(TASK)
    assert refused["error"]["code"] == "refused"
    assert "nested" in refused["msg"]
    assert (files(machine), live(machine), nested(machine)) == (before, "1", guest)

    run = role(machine, hypervisor_nested=False, hypervisor_kvm_reload="stop_guests").succeeded()
    assert run.changed == [TASK]
    assert live(machine) == "0"
    assert machine.call(f"cat {FILE}") == "options kvm_amd nested=0"
    now = nested(machine)
    assert (now["running"], now["svm"]) == (True, False)
    assert now["boot"] != guest["boot"]


def test_off_outlives_a_reboot(machine: DebianGuest) -> None:
    machine.reboot()
    machine.call("modprobe kvm_amd")  # it is loaded for the processor anyway, at some time after ssh answers
    assert live(machine) == "0"
    found = run_remote_module(machine, "hypervisor_info", {"validate": False})["hypervisor"]["nested"]
    assert found == {
        "module": "kvm_amd",
        "declared": [{"value": "0", "file": FILE, "line": 1}],
        "effective": False,
        "effective_from": f"{FILE}:1",
        "live": False,
    }


def test_on_again(machine: DebianGuest) -> None:
    """The last of the four steps is test_kernel_module.py's, where the same module takes a tenth of the time."""
    wanted = {"hypervisor_nested": "auto"}
    assert role(machine, check=True, **wanted).succeeded().changed == [TASK]
    assert live(machine) == "0"
    assert role(machine, **wanted).succeeded().changed == [TASK]
    assert (live(machine), machine.call(f"cat {FILE}")) == ("1", "options kvm_amd nested=1")
    assert role(machine, **wanted).succeeded().changed == []
