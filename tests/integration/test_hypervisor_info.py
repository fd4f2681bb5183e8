# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hypervisor_info on the bench's own libvirtd and on this machine; test_nested_kvm.py has the one with SVM."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.bench.daemon import Daemon
from tests.bench.module import collections_path, expect_changed, run_module, succeed


def test_a_host_with_libvirt(clean_libvirtd: Daemon) -> None:
    before = clean_libvirtd.state()
    result = succeed("hypervisor_info", {"uri": clean_libvirtd.uri})
    expect_changed(result, "hypervisor_info", changed=False)
    clean_libvirtd.assert_unchanged(before, "hypervisor_info")
    found = result["hypervisor"]
    with clean_libvirtd.connect() as connection:
        version = connection.getLibVersion()
        sockets, cores, threads = connection.getInfo()[5:]
    assert found["libvirt"]["version"] == f"{version // 10**6}.{version // 1000 % 1000}.{version % 1000}"
    assert found["libvirt"]["driver"] == "qemu"
    assert found["libvirt"]["hypervisor_version"] in clean_libvirtd.exec("qemu-system-x86_64", "--version").stdout
    native = [guest for guest in found["libvirt"]["guests"] if guest["architecture"] == found["cpu"]["architecture"]]
    assert native[0]["os_type"] == "hvm"
    assert "qemu" in native[0]["domain_types"]
    assert found["cpu"]["threads"] == os.cpu_count() == sockets * cores * threads
    assert [node["id"] for node in found["cpu"]["numa_nodes"]] == [0]
    assert found["memory"]["available_kib"] < found["memory"]["total_kib"] == os.sysconf("SC_PHYS_PAGES") * 4
    assert {"qemu", "network", "storage"} <= set(found["drivers"])
    checks = {entry["check"]: entry["result"] for entry in found["validation"]}
    assert checks["if device /dev/net/tun exists"] == "pass"
    assert checks["for hardware virtualization"] == ("pass" if found["cpu"]["virtualization"] else "fail")
    assert found["reasons"] == {}


def test_the_user_of_qemu_by_libvirt_and_by_the_mode(clean_libvirtd: Daemon) -> None:
    """The bench's daemon runs QEMU as root, and its device is open to all."""
    kvm = succeed("hypervisor_info", {"validate": False}, inside=clean_libvirtd)["hypervisor"]["kvm"]
    assert (kvm["qemu_user"], kvm["usable_by_qemu_known_from"]) == ("root", "libvirt")
    offered = "type='kvm'" in clean_libvirtd.virsh("capabilities")
    assert kvm["usable_by_qemu"] is offered
    lonely = {"uri": "qemu+unix:///system?socket=/nowhere", "validate": False}
    kvm = succeed("hypervisor_info", lonely, inside=clean_libvirtd)["hypervisor"]["kvm"]
    assert (kvm["usable_by_qemu"], kvm["usable_by_qemu_known_from"]) == (True, "mode")
    assert kvm["device"]["mode"] == "0666"
    assert kvm["usable"]
    strange = succeed("hypervisor_info", lonely, inside=clean_libvirtd, user="nobody")["hypervisor"]
    assert strange["kvm"]["qemu_user"] is not None


@pytest.mark.parametrize("check", [False, True])
def test_a_daemon_that_does_not_answer(check: bool) -> None:
    result = succeed("hypervisor_info", {"uri": "qemu+unix:///system?socket=/nowhere"}, check=check)
    found = result["hypervisor"]
    assert found["libvirt"] is None
    assert "No daemon listens there" in found["reasons"]["libvirt"]
    assert found["cpu"]["threads"] == os.cpu_count()
    assert found["validation"]


def test_other_drivers_have_no_validation() -> None:
    found = succeed("hypervisor_info", {"uri": "test:///default"})["hypervisor"]
    assert found["libvirt"]["driver"] == "test"
    assert found["validation"] is None
    assert found["reasons"] == {}


def test_a_host_without_libvirts_binding() -> None:
    """A Python that has neither libvirt nor lxml: the import really fails."""
    script = (
        "import sys, json, runpy; sys.modules['libvirt'] = sys.modules['lxml'] = None\n"
        "from ansible.module_utils import basic\n"
        "basic._ANSIBLE_ARGS = json.dumps({'ANSIBLE_MODULE_ARGS': {'validate': False}}).encode()\n"
        "basic._ANSIBLE_PROFILE = 'legacy'\n"
        "runpy.run_module('ansible_collections.nestbox.virt.plugins.modules.hypervisor_info', run_name='__main__')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(collections_path())}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"libvirt": null' in done.stdout
    assert "Install the package(s) python3-libvirt python3-lxml" in done.stdout


def test_an_option_that_is_none() -> None:
    assert run_module("hypervisor_info", {"name": "x"})["failed"]
