# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a container with systemd and one network manager; its cables end in a namespace around it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .containers import container_image, podman_environment

# the service of each manager; ifupdown2 has an image of its own, for it can't lie beside ifupdown
_UNITS = {
    "networkd": "systemd-networkd.service",
    "networkmanager": "NetworkManager.service",
    "ifupdown": "networking.service",
}
_UNITS.update({"netplan": _UNITS["networkd"], "netplan-nm": _UNITS["networkmanager"], "ifupdown2": _UNITS["ifupdown"]})
_IMAGES = {"ifupdown2": "bookworm-ifupdown2"}
_OTHERS = (
    *("NetworkManager-wait-online.service", "systemd-networkd-wait-online.service", "systemd-networkd.socket"),
    "dnsmasq.service",
)
_OPTIONS = ("--systemd=always", "--cap-add=NET_ADMIN,NET_RAW", "--security-opt=unmask=/proc/sys")

Files = Mapping[str, str]  # path: text


class NetworkHost:
    """One container, the namespace that it has as its own, and the one at the other end of its cables."""

    options: tuple[str, ...] = ()  # more of podman

    def __init__(self, manager: str, name: str, files: Files) -> None:
        self.manager = manager
        self.name = f"nbt-{name}"
        self.inside, self.outside = f"{self.name}-in", f"{self.name}-out"
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self._files = files

    def start(self) -> None:
        """Boots it; it is ready when this returns."""
        self.remove_container()
        self._plug()
        script = self.directory / "first"
        script.write_text(self._first_boot())
        options = [*_OPTIONS, *self.options]
        options += [f"--volume={here}:{there}:ro" for there, here in {"/first": script, **self.volumes()}.items()]
        network = f"--network=ns:/run/netns/{self.inside}"
        image = container_image(_IMAGES.get(self.manager, "bookworm-net"))
        podman("run", "--detach", f"--name={self.name}", network, *options, image, "/bin/sh", "/first")
        self.wait_ready()

    def reboot(self, *, power_cut: bool = False) -> None:
        """Stops it, takes its links away, and boots it with the files that it has."""
        podman(*(["kill"] if power_cut else ["stop", "--time=2"]), self.name)
        podman("wait", self.name)
        self._plug()
        podman("start", self.name)
        self.wait_ready()

    def remove(self) -> None:
        """Removes everything."""
        self.remove_container()
        for namespace in (self.inside, self.outside):
            run("ip", "netns", "del", namespace, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def remove_container(self) -> None:
        """Removes the container alone."""
        podman("rm", "--force", "--time=0", "--ignore", self.name)

    def execute(self, *command: str, check: bool = True) -> str:
        """Standard output of a command in the container, whatever its network is."""
        return podman("exec", self.name, *command, check=check)

    def from_outside(self, *command: str) -> list[str]:
        """A command as one that is run at the other end of the cables."""
        return ["nsenter", f"--net=/run/netns/{self.outside}", "--", *command]

    def volumes(self) -> dict[str, Path]:
        """What lies in it to be read, by the place where it lies there."""
        return {}

    def plug(self) -> None:
        """Puts the cables in, whose namespaces are new and empty."""
        raise NotImplementedError

    def first_commands(self) -> list[str]:
        """Shell commands before its first boot."""
        return []

    def wait_ready(self) -> None:
        """Until systemd has started everything."""
        script = "until [ -S /run/systemd/private ]; do sleep 0.1; done; systemctl is-system-running --wait || true"
        self.execute("timeout", "90", "sh", "-c", script)

    def cable(self, name: str, mac: str, far: str) -> None:
        """A cable from the host's link `name` to `far` outside, which is up."""
        near = [name, "netns", self.inside, "address", mac]
        run("ip", "link", "add", *near, "type", "veth", "peer", "name", far, "netns", self.outside)
        run("ip", "-n", self.outside, "link", "set", far, "up")

    def _plug(self) -> None:
        for namespace in (self.inside, self.outside):
            run("ip", "netns", "del", namespace, check=False)
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        self.plug()

    def _first_boot(self) -> str:
        """A script that leaves one manager with its files, and becomes systemd."""
        unit = _UNITS[self.manager]
        masked = sorted({*_UNITS.values(), *_OTHERS} - {unit})
        return "\n".join(
            [
                "[ -e /configured ] && exec /sbin/init",
                "rm -f /etc/network/interfaces /etc/systemd/network/* /etc/netplan/*",
                *(line for path, text in self._files.items() for line in self._write(path, text)),
                *(f"ln -sf /dev/null /etc/systemd/system/{other}" for other in masked),
                f"ln -sf /lib/systemd/system/{unit} /etc/systemd/system/multi-user.target.wants/",
                ""
                if self.manager.startswith("netplan")
                else "rm -f /usr/sbin/netplan /lib/systemd/system-generators/netplan",
                *self.first_commands(),
                "touch /configured; exec /sbin/init",
            ]
        )

    def _write(self, path: str, text: str) -> list[str]:
        mode = 600 if self.manager.startswith(("networkmanager", "netplan")) else 644
        return [f"mkdir -p {os.path.dirname(path)}", f"cat > {path} <<'EOF'\n{text}EOF", f"chmod {mode} {path}"]


def podman(*command: str, check: bool = True) -> str:
    """Standard output of podman."""
    return run("podman", *command, check=check, env=podman_environment())


def run(*command: str, check: bool = True, env: dict[str, str] | None = None) -> str:
    """Standard output of a command of this machine."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout
