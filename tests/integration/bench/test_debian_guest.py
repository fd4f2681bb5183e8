# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian guest boots for real, is what it says, takes Ansible's modules, and goes back to a snapshot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.ansible_run import run_play
from tests.bench.daemon import Daemon
from tests.bench.debian_guest import DebianGuest, DebianSettings
from tests.bench.guest_image import make_key

_ISOLATED = "<network><name>{name}</name><bridge name='nbt-{name}' stp='off' delay='0'/></network>"


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianGuest]:
    directory: Path = tmp_path_factory.mktemp("debian")
    with Daemon(f"debian-{os.getpid()}") as daemon:
        with daemon.connect() as connection:
            connection.networkCreateXML(_ISOLATED.format(name="one"))
        settings = DebianSettings(name="full", cpu="EPYC", more_networks=["one"])
        with DebianGuest(daemon, directory, make_key(directory), settings) as started:
            started.snapshot()
            yield started


def test_it_is_a_whole_debian(guest: DebianGuest) -> None:
    assert guest.call("ps -o comm= -p 1; . /etc/os-release; echo $ID $VERSION_ID; systemctl is-system-running") == (
        "systemd\ndebian 12\nrunning"
    )
    assert guest.call("networkctl --no-legend list | tr -s ' ' | cut -d' ' -f3,5,6 | sort") == (
        "enp1s0 routable configured\nenp2s0 off unmanaged\nlo carrier unmanaged"
    )
    assert guest.call("python3 -c 'import libvirt, lxml, apt; print(libvirt.getVersion())'") > "9"
    assert "svm" in guest.call("grep -m1 ^flags /proc/cpuinfo").split()


def test_it_has_the_modules_that_containers_lack(guest: DebianGuest) -> None:
    guest.call("modprobe -a bonding 8021q dummy kvm_amd")
    guest.call("ip link add br0 type bridge vlan_filtering 1 && ip link set enp2s0 master br0")
    assert "vlan_filtering 1" in guest.call("ip -d link show br0")


def test_ansible_and_a_snapshot(guest: DebianGuest) -> None:
    copy = {"name": "Write", "ansible.builtin.copy": {"content": "kept?\n", "dest": "/root/file", "mode": "0600"}}
    run = run_play(guest, [copy]).succeeded()
    assert run.changed == ["Write"]
    assert run.task("Write")["diff"][0]["after"] == "kept?\n"
    guest.revert()
    assert guest.call("ls /root") == ""
    assert "br0" not in guest.call("ls /sys/class/net")
