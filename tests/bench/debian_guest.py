# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full Debian 12 guest: systemd, networkd, ssh, Python, libvirt, QEMU; its disk outlives reboots."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from .daemon import Daemon
from .guest import NETWORK, TIMEOUT_S, Guest, ensure_lan, reserve_address

_BUILD = Path(__file__).resolve().parents[2] / "tools" / "build-debian-guest"
_WATCH = Path(__file__).with_name("agent_watch.py")

_DOMAIN = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>{memory_mib}</memory><vcpu>{cpus}</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type>
<kernel>{image.kernel}</kernel><initrd>{image.initrd}</initrd><cmdline>{cmdline}</cmdline></os>
<features><acpi/><apic/></features>{cpu}
<clock offset='utc'/>
<devices>{disks}{nics}
<serial type='pty'><log file='{log}'/></serial>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
<memballoon model='none'/><controller type='usb' model='none'/>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>
"""
_NIC = "<interface type='network'><source network='{network}'/><mac address='{mac}'/><model type='virtio'/></interface>"
_DISK = (
    "<disk type='file'><driver name='qemu' type='{format}' cache='unsafe'/><source file='{path}'/>"
    "<target dev='vd{letter}' bus='virtio'/>{readonly}</disk>"
)
# no check: what emulation lacks of the model is left out
_CPU = "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>{model}</model></cpu>"


@dataclass(frozen=True)
class DebianImage:
    """The files of the image; all are to be read only."""

    directory: Path

    @property
    def kernel(self) -> Path:
        """The kernel, uncompressed."""
        return self.directory / "vmlinux"

    @property
    def initrd(self) -> Path:
        """What mounts the disk."""
        return self.directory / "initrd.img"

    @property
    def disk(self) -> Path:
        """The root file system, raw, to be a backing file."""
        return self.directory / "debian.img"

    @property
    def cmdline(self) -> str:
        """The kernel's arguments."""
        return (self.directory / "cmdline").read_text().strip()


@cache
def debian_image() -> DebianImage:
    """The Debian guest; the first call on a machine builds it, which takes 70 s and the download."""
    built = subprocess.run([str(_BUILD)], stdout=subprocess.PIPE, text=True, check=True)
    return DebianImage(Path(built.stdout.strip().splitlines()[-1]))


@dataclass(frozen=True)
class DebianSettings:
    """What a test may choose."""

    name: str
    # its address is 198.51.100.(100 + number), its first MAC 52:54:00:00:c8:number
    number: int = 1
    memory_mib: int = 768
    cpus: int = 1
    # a model of QEMU; EPYC has svm
    cpu: str | None = None
    # libvirt networks of the NICs after the first, which is enp1s0; these are enp2s0 and so on
    more_networks: Sequence[str] = ()
    # raw images that the guest finds as /dev/vdb and so on, to be read only
    more_disks: Sequence[Path] = ()
    # more words of the kernel's command line
    cmdline: str = ""


class DebianGuest(Guest):
    """A running Debian guest; `directory` gets its disk and its console's log."""

    def __init__(self, daemon: Daemon, directory: Path, key: Path, settings: DebianSettings) -> None:
        self.settings = settings
        # a socket's path has 107 characters, and a test's own directory may be longer than that
        self._control = daemon.directory / "run" / f"ssh-{settings.name}"
        self.overlay, log = directory / f"{settings.name}.qcow2", directory / f"{settings.name}.log"
        image = debian_image()
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image.disk), str(self.overlay)]
        subprocess.run(create, check=True)
        ensure_lan(daemon)
        mac, address = self.nic_mac(0), f"198.51.100.{100 + settings.number}"
        reserve_address(daemon, mac, address)
        xml = self._xml(image, key, log)
        super().__init__(daemon, xml, name=settings.name, mac=mac, key=key, log=log, address=address, transient=False)

    def nic_mac(self, position: int) -> str:
        """The MAC of one of its NICs, counted from 0."""
        return f"52:54:00:00:{0xC8 + position:02x}:{self.settings.number:02x}"

    @property
    def ssh_more(self) -> list[str]:
        """One connection for all commands: a new one costs a second under emulation."""
        control = {"ControlMaster": "auto", "ControlPersist": "600", "ControlPath": str(self._control)}
        return [word for name, value in control.items() for word in ("-o", f"{name}={value}")]

    def wait_ready(self, timeout_s: float = TIMEOUT_S) -> DebianGuest:
        """Until it answers by ssh, told by the event of its agent's connection."""
        with self._watch("now") as watching:
            self._await(watching, "the guest agent", timeout_s)
        return self

    def call(self, *command: str, stdin: str | None = None) -> str:
        """What a command prints; fails with its words when it ends otherwise than with 0."""
        done = self.ssh(*command, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """A file of the guest."""
        self.call(f"mkdir -p {Path(path).parent} && cat > {path}", stdin=text)

    def boot_id(self) -> str:
        """Another one after every boot."""
        return self.call("cat /proc/sys/kernel/random/boot_id")

    def reboot(self, timeout_s: float = TIMEOUT_S) -> None:
        """Reboots it by its own systemd and waits until it answers again."""
        before = self.boot_id()
        with self._watch("again") as watching:
            self.ssh("systemctl reboot")
            self.disconnect()
            self._await(watching, "the agent of the next boot", timeout_s)
        assert self.boot_id() != before, f"{self.name} did not reboot"

    def power_off(self) -> None:
        """Ends it by its own systemd."""
        self.ssh("systemctl poweroff")
        self.disconnect()
        self.wait("the end", self.gone)

    def power_on(self) -> None:
        """Starts it again from its disk and waits until it answers."""
        with self.daemon.connect() as connection:
            connection.lookupByName(self.name).create()
        self.wait_ready()

    def snapshot(self, name: str = "ready") -> None:
        """Keeps memory and disk as they are now."""
        self.daemon.virsh("snapshot-create-as", self.name, name)

    def revert(self, name: str = "ready") -> None:
        """Back to a snapshot, with the clock set anew; seconds instead of a boot."""
        self.disconnect()
        self.daemon.virsh("snapshot-revert", self.name, name)
        self.call(f"date --utc --set=@{time.time():.0f}")

    def disconnect(self) -> None:
        """Ends ssh's kept connection, which would wait for a guest that is gone."""
        self.daemon.exec("ssh", "-o", f"ControlPath={self._control}", "-O", "exit", self.address, check=False)

    def destroy(self) -> None:
        """Removes the guest and its disk."""
        self.disconnect()
        self.daemon.virsh("destroy", self.name, check=False)
        self.daemon.virsh("undefine", self.name, "--snapshots-metadata", check=False)
        self.overlay.unlink(missing_ok=True)

    def __enter__(self) -> DebianGuest:
        return self.wait_ready()

    def __exit__(self, *_ignored: object) -> None:
        self.destroy()

    # -- inside -----------------------------------------------------------------------------------------------

    def _xml(self, image: DebianImage, key: Path, log: Path) -> str:
        settings = self.settings
        public = base64.b64encode(key.with_suffix(".pub").read_bytes()).decode()
        machine_id = uuid5(NAMESPACE_URL, f"nestbox.virt/bench/{settings.name}").hex
        words = (image.cmdline, f"systemd.machine_id={machine_id}", f"nestbox.ssh_key={public}", settings.cmdline)
        disks = [(self.overlay, "qcow2", ""), *((path, "raw", "<readonly/>") for path in settings.more_disks)]
        networks = (NETWORK, *settings.more_networks)
        return _DOMAIN.format(
            name=settings.name,
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            image=image,
            cmdline=" ".join(words).strip(),
            cpu=_CPU.format(model=settings.cpu) if settings.cpu else "",
            log=log,
            disks="".join(
                _DISK.format(path=path, format=kind, readonly=readonly, letter=chr(ord("a") + number))
                for number, (path, kind, readonly) in enumerate(disks)
            ),
            nics="".join(
                _NIC.format(network=network, mac=self.nic_mac(position)) for position, network in enumerate(networks)
            ),
        )

    def _watch(self, since: str) -> subprocess.Popen[str]:
        """Starts to watch the agent's connection; it does so when this returns."""
        argv = [sys.executable, str(_WATCH), self.daemon.uri, self.name, since]
        watching = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert watching.stdout is not None
        assert watching.stdout.readline() == "watching\n", f"{self.name} can't be watched"
        return watching

    def _await(self, watching: subprocess.Popen[str], what: str, timeout_s: float) -> None:
        try:
            ended = watching.wait(timeout_s)
        except subprocess.TimeoutExpired:
            watching.kill()
            raise TimeoutError(f"{what} did not come within {timeout_s} s:\n{self.console()[-3000:]}") from None
        assert ended == 0, f"the watch for {what} ended with {ended}"
        # modules for the hardware are loaded while ssh answers already
        self.call("udevadm settle --timeout=120")
