# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench itself: it is apart from the host, sees a change, survives a crash."""

from __future__ import annotations

import libvirt
import pytest

from tests.bench.daemon import Daemon
from tests.bench.state import changes

NETWORK = """<network><name>n1</name><forward mode='nat'/><bridge name='nbtbr0'/>
<ip address='198.51.100.1' netmask='255.255.255.0'><dhcp><range start='198.51.100.10' end='198.51.100.20'/></dhcp></ip>
</network>"""
DOMAIN = """<domain type='qemu'><name>d1</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"""


def test_network_is_apart_from_the_host(clean_libvirtd: Daemon) -> None:
    with clean_libvirtd.connect() as connection:
        connection.networkDefineXML(NETWORK).create()
    inside = clean_libvirtd.exec("ip", "-brief", "link").stdout
    assert "nbtbr0" in inside
    assert "eth0" not in inside
    clean_libvirtd.reset()
    assert "nbtbr0" not in clean_libvirtd.exec("ip", "-brief", "link").stdout


def test_read_only_connection_is_held_by_the_server(clean_libvirtd: Daemon) -> None:
    connection = libvirt.openReadOnly(clean_libvirtd.uri)
    try:
        with pytest.raises(libvirt.libvirtError, match="read only"):
            connection.networkDefineXML(NETWORK)
    finally:
        connection.close()


def test_state_sees_what_changes_and_only_that(clean_libvirtd: Daemon) -> None:
    empty = clean_libvirtd.state_hash()
    with clean_libvirtd.connect() as connection:
        domain = connection.defineXML(DOMAIN)
        defined = clean_libvirtd.state()
        assert clean_libvirtd.state_hash() != empty
        clean_libvirtd.assert_unchanged(defined, "reading")
        domain.setAutostart(1)
        found = changes(defined, clean_libvirtd.state())
        assert "new: /etc/libvirt/qemu/autostart/d1.xml" in found
        domain.setAutostart(0)
    image = clean_libvirtd.path("/var/lib/libvirt/images/one")
    image.write_bytes(b"1")
    before = clean_libvirtd.state()
    image.write_bytes(b"2")
    assert changes(before, clean_libvirtd.state()) == ["different: /var/lib/libvirt/images/one"]


def test_guest_outlives_a_killed_daemon(clean_libvirtd: Daemon) -> None:
    with clean_libvirtd.connect() as connection:
        connection.defineXML(DOMAIN).create()
    clean_libvirtd.kill()
    assert not clean_libvirtd.running
    clean_libvirtd.restart()
    with clean_libvirtd.connect() as connection:
        assert connection.lookupByName("d1").isActive()


def test_reset_leaves_nothing(clean_libvirtd: Daemon) -> None:
    with clean_libvirtd.connect() as connection:
        connection.defineXML(DOMAIN).create()
        connection.networkCreateXML(NETWORK)
    clean_libvirtd.reset()
    with clean_libvirtd.connect() as connection:
        assert connection.listAllDomains() == []
        assert connection.listAllNetworks() == []
