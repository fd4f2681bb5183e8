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
    daemon: Daemon, directory: Path, variables: dict[str, Any], *options: str
) -> subprocess.CompletedProcess[str]:
    """The playbook provision_guests on this machine, against the bench's daemon."""
    own = {
        "guests_uri": daemon.uri,
        "hypervisor_group": "all",
        "guests_packages_install": False,
        "guests_wait_for": "none",
    }
    own["guests_seed_directory"] = str(directory / "seeds")
    own["ansible_python_interpreter"] = sys.executable
    (directory / "variables.json").write_text(json.dumps({**own, **_KEYS, **variables}))
    inventory = "localhost ansible_connection=local ansible_become=false\n"
    (directory / "inventory").write_text(inventory)
    command = [
        "ansible-playbook",
        "-i",
        str(directory / "inventory"),
        "-e",
        f"@{directory / 'variables.json'}",
        *options,
    ]
    environment = {**os.environ, "ANSIBLE_HOME": str(directory / "ansible"), "ANSIBLE_NOCOLOR": "true"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    playbook = "nestbox.virt.provision_guests"
    return subprocess.run([*command, playbook], env=environment, capture_output=True, text=True, check=False)


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
        "was to come from /nonexistent/i.qcow2, and localhost has no such file",
    ),
    "an unknown network": (
        {"guests": [{"name": "a", "interfaces": [{"network": "lab"}]}]},
        "to the network(s) lab, and localhost has default.",
    ),
    "an unknown pool": (
        {"guests": [{"name": "a", "disk_size": "1 GiB", "pool": "fast"}]},
        "pool(s) fast, and localhost has",
    ),
    "no key": (
        {"guests": [{"name": "a"}], "guests_authorized_keys": [], "guests_wait_for": "connection"},
        "no public key",
    ),
    "an unknown option": ({"guests": [{"name": "a", "memroy": "1 GiB"}]}, "memroy"),
    "a bad size": ({"guests": [{"name": "a", "memory": "much", "cloud_init": False}]}, "memory was given as 'much'"),
}


@pytest.mark.parametrize("case", _BAD)
def test_bad_input_changes_nothing(prepared: Daemon, tmp_path: Path, case: str) -> None:
    """Each message says what was asked and what was found."""
    variables, message = _BAD[case]
    before = prepared.state()
    done = _play(prepared, tmp_path, variables)
    assert done.returncode != 0, done.stdout
    shown = " ".join((done.stdout + done.stderr).split())
    assert message in shown, done.stdout + done.stderr
    assert "Traceback" not in shown
    prepared.assert_unchanged(before, case)
    assert not (tmp_path / "seeds").exists()


def test_check_mode_foresees_and_writes_nothing(prepared: Daemon, tmp_path: Path) -> None:
    """On a host that has nothing of the guests yet, not even the image; then for real; then unchanged."""
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
    foreseen = _play(prepared, tmp_path, variables, "--check", "--diff", "-v")
    assert foreseen.returncode == 0, foreseen.stdout + foreseen.stderr
    prepared.assert_unchanged(before, "check mode", tmp_path / "pool")
    assert not (tmp_path / "seeds").exists()
    done = _play(prepared, tmp_path, variables, "--diff", "-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hidden from all" not in foreseen.stdout + done.stdout
    again = _play(prepared, tmp_path, variables)
    assert again.returncode == 0 and " changed=0 " in again.stdout, again.stdout
    gone = _play(prepared, tmp_path, {**variables, "guests_state": "absent", "guests_remove": ["storage"]})
    assert gone.returncode == 0, gone.stdout
    assert [path.name for path in (tmp_path / "pool").iterdir()] == ["base.qcow2"]
    assert list((tmp_path / "seeds").iterdir()) == []
