# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: a libvirtd of the tests' own, and modules that run against it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.bench.daemon import Daemon
from tests.bench.module import Result, collections_path, four_steps, run_module

_TESTS = Path(__file__).parent
_TOPS = ["molecule", "integration", "unit"]
# each takes minutes, so none of them may be the last that a worker begins
_LONG = ("test_bridge_guest.py", "test_nested_kvm.py", "test_bridge_managers.py", "test_bridge_switch.py")

# before pytest-ansible reads it (--ansible-unit-inject-only), and for every ansible command that a test starts
_CONFIGURED = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(os.pathsep)
_PATHS = [str(collections_path()), *(path for path in _CONFIGURED if path and path != str(collections_path()))]
os.environ["ANSIBLE_COLLECTIONS_PATH"] = os.pathsep.join(_PATHS)
# a playbook that matches no host is a test that tests nothing
os.environ["ANSIBLE_HOST_PATTERN_MISMATCH"] = "error"
if str(collections_path()) not in sys.path:
    sys.path.insert(0, str(collections_path()))

# how long an example takes says how busy the machine is
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


class _ByFile(LoadScopeScheduling):
    """With several workers (-n) a file stays on one, since its fixtures are dear; a molecule scenario is on its own."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith("tests/molecule/") else nodeid.partition("::")[0]


# xdist's own --dist loadgroup groups nothing under pytest 9.2, whose items ignore the _nodeid that xdist 3.8 sets
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByFile:
    """The scheduler of every parallel run, whatever --dist says."""
    return _ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: (_TOPS.index(item.path.relative_to(_TESTS).parts[0]), item.path.name not in _LONG))


@pytest.fixture(scope="session")
def libvirtd() -> Iterator[Daemon]:
    """One libvirtd for the whole session; it never sees the host's own guests."""
    daemon = Daemon(f"pytest-{os.getpid()}")
    daemon.stop()
    daemon.start(tied=True)
    yield daemon
    daemon.stop()


@pytest.fixture
def clean_libvirtd(libvirtd: Daemon) -> Daemon:
    """The daemon without any domain, network, pool or secret."""
    libvirtd.reset()
    return libvirtd


class BoundModule:
    """Runs modules against one daemon: module("network", {...}, check=True)."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def __call__(self, name: str, args: dict[str, Any] | None = None, **options: Any) -> Result:
        """run_module with the daemon's uri."""
        return run_module(name, {"uri": self.daemon.uri, **(args or {})}, **options)

    def four_steps(self, name: str, args: dict[str, Any], *, watch: tuple[str | Path, ...] = ()) -> list[Result]:
        """The four steps on the daemon."""
        return four_steps(name, args, self.daemon, watch=watch)


@pytest.fixture
def module(clean_libvirtd: Daemon) -> BoundModule:
    """A callable bound to the (clean) daemon."""
    return BoundModule(clean_libvirtd)
