# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role guests on a real daemon: what can't be right is said before anything changes. Its scenario has the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.daemon import Daemon
from tests.bench.module import succeed

_KEYS = {"guests_authorized_keys": ["ssh-ed25519 AAAA test"]}


def _play(
    daemon: Daemon, directory: Path, hosts: dict[str, dict[str, Any]], *options: str
) -> subprocess.CompletedProcess[str]:
    """The playbook provision_guests on the bench's daemon; each host is this machine, with its own variables."""
    own = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "guests_uri": daemon.uri,
        "guests_packages_install": False,
        "guests_wait_for": "none",
        "guests_seed_directory": str(directory / "seeds"),
    }
    inventory = {"hypervisors": {"vars": {**own, **_KEYS}, "hosts": hosts}}
    (directory / "inventory.json").write_text(json.dumps(inventory))
    command = ["ansible-playbook", "-i", str(directory / "inventory.json"), *options, "nestbox.virt.provision_guests"]
    environment = {**os.environ, "ANSIBLE_HOME": str(directory / "ansible"), "ANSIBLE_NOCOLOR": "true"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def prepared(clean_libvirtd: Daemon, tmp_path: Path) -> Daemon:
    """A daemon with a pool and a network of the usual names."""
    uri = clean_libvirtd.uri
    succeed("pool", {"uri": uri, "name": "default", "type": "dir", "target": str(tmp_path / "pool"), "state": "active"})
    succeed("network", {"uri": uri, "name": "default", "mode": "isolated", "state": "present"})
    return clean_libvirtd


_BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a name twice": (
        {"guests": [{"name": "a"}, {"name": "b"}, {"name": "a"}]},
        "declared more than once: a. Give each",
    ),
    "a name with a slash": ({"guests": [{"name": "../etc"}]}, "These can't be names of guests: ../etc"),
    "an image twice": (
        {"guests_images": [{"name": "i", "source": "/a"}, {"name": "i", "source": "/b"}]},
        "occurs more than once",
    ),
    "an unknown image": (
        {"guests": [{"name": "a", "image": "none.qcow2"}]},
        "from the image(s) none.qcow2, which are neither",
    ),
    "a missing file": (
        {"guests": [{"name": "a", "image": "i"}], "guests_images": [{"name": "i", "source": "/nonexistent/i.qcow2"}]},
        "was to come from /nonexistent/i.qcow2, and {host} has no such file",
    ),
    "an unknown network": (
        {"guests": [{"name": "a", "interfaces": [{"network": "lab"}]}]},
        "to the network(s) lab, and {host} has default.",
    ),
    "an unknown pool": (
        {"guests": [{"name": "a", "disk_size": "1 GiB", "pool": "fast"}]},
        "pool(s) fast, and {host} has",
    ),
    "no key": (
        {"guests": [{"name": "a"}], "guests_authorized_keys": [], "guests_wait_for": "connection"},
        "no public key",
    ),
    "an unknown option": ({"guests": [{"name": "a", "memroy": "1 GiB"}]}, "memroy"),
    "a bad size": ({"guests": [{"name": "a", "memory": "much", "cloud_init": False}]}, "memory was given as 'much'"),
}


def test_bad_input_changes_nothing(prepared: Daemon, tmp_path: Path) -> None:
    """Each message says what was asked and what was found. A host for each case, so that Ansible is started once."""
    hosts = {name.replace(" ", "-"): variables for name, (variables, _message) in _BAD.items()}
    before = prepared.state()
    done = _play(prepared, tmp_path, hosts)
    shown = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in shown, shown
    for name, (_variables, message) in _BAD.items():
        host = name.replace(" ", "-")
        starts = (f"fatal: [{host}]", f"failed: [{host}]")
        failed = [line for line in done.stdout.splitlines() if line.startswith(starts)]
        assert len(failed) == 1 and message.format(host=host) in failed[0], f"{name}: {failed}\n{shown}"
    prepared.assert_unchanged(before, "bad input")
    assert not (tmp_path / "seeds").exists()


def test_check_mode_foresees_and_writes_nothing(prepared: Daemon, tmp_path: Path) -> None:
    """On a host that has nothing of the guests yet, not even the image. The scenario runs it again, and removes all."""
    image = tmp_path / "base.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "16M"], check=True)
    variables: dict[str, Any] = {
        "guests_images": [{"name": "base.qcow2", "source": str(image)}],
        "guests": [
            {"name": "a", "state": "present", "image": "base.qcow2", "user_data": {"password": "hidden from all"}},
            {"name": "b", "state": "present", "disk_size": "1 MiB", "disks": [{"name": "data", "size": "1 MiB"}]},
        ],
    }
    before = prepared.state(tmp_path / "pool")
    foreseen = _play(prepared, tmp_path, {"localhost": variables}, "--check", "--diff", "-v")
    assert foreseen.returncode == 0, foreseen.stdout + foreseen.stderr
    prepared.assert_unchanged(before, "check mode", tmp_path / "pool")
    assert not (tmp_path / "seeds").exists()
    done = _play(prepared, tmp_path, {"localhost": variables}, "--diff", "-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hidden from all" not in foreseen.stdout + done.stdout
