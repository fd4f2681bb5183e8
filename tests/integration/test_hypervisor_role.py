# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of the role hypervisor in the namespaces of a bench daemon; the whole of it is what the scenarios run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench.ansible_run import Run, run_play
from tests.bench.daemon import Daemon
from tests.bench.module import succeed

_ROLE = "nestbox.virt.hypervisor"
_CPU = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
_CAN_VIRTUALISE = bool({"svm", "vmx"} & set(_CPU)) or any(
    Path("/sys/module", name).is_dir() for name in ("kvm_amd", "kvm_intel")
)


def part(daemon: Daemon, name: str, **variables: Any) -> Run:
    """One file of the role's tasks. In check mode: what is set here is this machine's own kernel."""
    tasks = [
        {
            "name": "Names",
            "ansible.builtin.include_vars": str(Path(__file__).parents[2] / "roles/hypervisor/vars/Debian.yml"),
        },
        {"name": "Part", "ansible.builtin.include_role": {"name": _ROLE, "tasks_from": name}},
    ]
    return run_play(
        daemon, tasks, check=True, variables={"hypervisor_networks": [], "hypervisor_pools": [], **variables}
    )


def test_the_facts_at_the_end(clean_libvirtd: Daemon) -> None:
    run = part(clean_libvirtd, "verify_host").succeeded()
    facts = run.task("Remember what this hypervisor is")["ansible_facts"]["hypervisor_facts"]
    assert facts["uri"] == "qemu:///system"
    assert facts["daemons"] == "monolithic"
    assert facts["domain_type"] == ("kvm" if "type='kvm'" in clean_libvirtd.virsh("capabilities") else "qemu")
    assert facts["libvirt_version"] in clean_libvirtd.virsh("version", "--daemon")
    assert facts["qemu_version"] in clean_libvirtd.virsh("version")
    assert facts["reboot_reasons"] == []
    checks = succeed("hypervisor_info", {}, inside=clean_libvirtd)["hypervisor"]["validation"]
    bad = [entry for entry in checks if entry["result"] in ("fail", "warning")]
    assert facts["shortcomings"] == [f"{entry['check']}: {entry['result']}: {entry['advice']}" for entry in bad]
    assert "live" in facts["nested"]


def test_a_daemon_that_is_not_there(clean_libvirtd: Daemon) -> None:
    run = part(clean_libvirtd, "verify_host", hypervisor_uri="qemu+unix:///system?socket=/nowhere")
    assert run.rc != 0
    assert "No daemon listens there" in run.task("Ask for a daemon that answers")["msg"]


@pytest.mark.skipif(
    _CAN_VIRTUALISE, reason="this machine's processor can virtualise; test_nested_kvm.py has such a one"
)
def test_a_processor_that_can_not_virtualise(clean_libvirtd: Daemon) -> None:
    asked = part(clean_libvirtd, "nested", hypervisor_nested=True)
    assert asked.rc != 0
    message = asked.task("Ask for a processor that can virtualise")["msg"]
    assert message.startswith("Nested virtualisation was asked for (hypervisor_nested), and the processor of guest")
    assert "neither AMD-V (svm) nor Intel VT-x (vmx)" in message
    for wanted in ("auto", False):
        run = part(clean_libvirtd, "nested", hypervisor_nested=wanted).succeeded()
        assert "left alone" in run.task("Say that there is nothing to set")["msg"]
    options = part(clean_libvirtd, "nested", hypervisor_kvm_options={"npt": True})
    assert "Options of KVM were given" in options.task("Ask for a processor that can virtualise")["msg"]
