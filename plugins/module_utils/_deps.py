# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guarded imports of what is not in the standard library: lxml and the libvirt binding. Private to this collection."""

from __future__ import annotations

import sys
from typing import Any

from ._errors import MissingDependency

try:
    from lxml import etree
except ImportError:  # reported by require(), with what to install
    etree = None  # type: ignore[assignment,unused-ignore]

try:
    import libvirt
except ImportError:
    libvirt = None

# what a name is called by the package managers of the supported families
_PACKAGES = {"lxml": "python3-lxml", "libvirt": "python3-libvirt", "pycdlib": "python3-pycdlib", "yaml": "python3-yaml"}


def require(*names: str) -> None:
    """Raises MissingDependency when one of `names` ("lxml", "libvirt") could not be imported."""
    loaded = {"lxml": etree, "libvirt": libvirt}
    missing = [name for name in names if loaded[name] is None]
    if missing:
        raise _missing(missing)


def pycdlib() -> Any:
    """pycdlib, imported only when a seed is read or built: every other module would pay for its import."""
    try:
        import pycdlib as library
    except ImportError as error:
        raise _missing(["pycdlib"]) from error
    return library


def yaml() -> Any:
    """PyYAML, imported only where netplan's files are read."""
    try:
        import yaml as library
    except ImportError as error:
        raise _missing(["yaml"]) from error
    return library


def _missing(names: list[str]) -> MissingDependency:
    packages = " ".join(_PACKAGES[name] for name in names)
    return MissingDependency(
        f"This task needs the Python module(s) {', '.join(names)}, which {sys.executable} on this host cannot "
        f"import. Install the package(s) {packages} (Debian, Ubuntu, Fedora, RHEL), or point "
        f"ansible_python_interpreter at a Python that has them.",
        details={"missing": names, "interpreter": sys.executable},
    )
