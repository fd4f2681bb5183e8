# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests that a reload stops: found, shut down and started again on a real libvirtd; without one, none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nestbox.virt.plugins.module_utils._errors import StepFailed, WaitTimeout
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.guests import Guest, Running, Stopper, running_guests
from tests.bench.daemon import Daemon
from tests.bench.guest_image import guest_image

_FIRMWARE = "<domain type='{kind}'><name>{name}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>"


def _lean(name: str, log: Path) -> str:
    """A guest that reacts to its power button."""
    image = guest_image()
    return (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>256</memory><os><type>hvm</type>"
        f"<kernel>{image.kernel}</kernel><initrd>{image.initrd}</initrd><cmdline>{image.cmdline}</cmdline></os>"
        f"<features><acpi/></features><devices><serial type='pty'><log file='{log}'/></serial></devices></domain>"
    )


def _powers(connection: Any) -> dict[str, int]:
    return {domain.name(): domain.state()[0] for domain in connection.listAllDomains()}


def test_only_guests_with_kvm_count(clean_libvirtd: Daemon) -> None:
    with clean_libvirtd.connect() as connection:
        connection.createXML(_FIRMWARE.format(kind="qemu", name="emulated"), 0)
        connection.createXML(_FIRMWARE.format(kind="kvm", name="transient"), 0)
        connection.defineXML(_FIRMWARE.format(kind="kvm", name="paused")).createWithFlags(1)
        connection.defineXML(_FIRMWARE.format(kind="kvm", name="off"))
    found = running_guests(clean_libvirtd.uri)
    paused, transient = (
        Guest("paused", paused=True, persistent=True),
        Guest("transient", paused=False, persistent=False),
    )
    assert found == Running((paused, transient))


def test_without_a_daemon_there_is_a_reason() -> None:
    found = running_guests("qemu+unix:///system?socket=/nonexistent")
    assert not found.guests and "No daemon listens there" in found.unknown


def test_the_same_guests_are_started_again(clean_libvirtd: Daemon, tmp_path: Path) -> None:
    """A transient one too, from what it was; a paused one is paused again."""
    with clean_libvirtd.connect() as connection:
        connection.defineXML(_lean("kept", tmp_path / "kept.log")).create()
        connection.createXML(_lean("transient", tmp_path / "transient.log"), 0)
        uuid = connection.lookupByName("transient").UUIDString()
        stopper = Stopper(clean_libvirtd.uri, 90)
        stopper.stop(Guest("kept", paused=True, persistent=True))
        stopper.stop(Guest("transient", paused=False, persistent=False))
        assert _powers(connection) == {"kept": 5}
        stopper.start("transient")
        stopper.start()
        assert _powers(connection) == {"kept": 3, "transient": 1}
        assert connection.lookupByName("transient").UUIDString() == uuid
        stopper.start()


def test_a_guest_that_does_not_go_down(clean_libvirtd: Daemon) -> None:
    with clean_libvirtd.connect() as connection:
        connection.createXML(_FIRMWARE.format(kind="qemu", name="deaf"), 0)
        with pytest.raises(WaitTimeout, match="was still running after 1 s"):
            Stopper(clean_libvirtd.uri, 1).stop(Guest("deaf", paused=False, persistent=False))
        assert _powers(connection) == {"deaf": 1}


def test_one_that_does_not_start_keeps_no_other_from_it(clean_libvirtd: Daemon, tmp_path: Path) -> None:
    """These two went down by themselves before they were asked."""
    with clean_libvirtd.connect() as connection:
        stopper = Stopper(clean_libvirtd.uri, 90)
        for name in ("broken", "whole"):
            connection.defineXML(_lean(name, tmp_path / f"{name}.log"))
            stopper.stop(Guest(name, paused=False, persistent=True))
        xml = connection.lookupByName("broken").XMLDesc().replace(str(guest_image().initrd), "/nonexistent")
        connection.defineXML(xml)
        with pytest.raises(StepFailed, match="do not start again: broken: ") as caught:
            stopper.start()
        assert list(caught.value.details["guests"]) == ["broken"]
        assert _powers(connection) == {"broken": 5, "whole": 1}
