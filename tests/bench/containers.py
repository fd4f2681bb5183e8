# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers for tests: images from Debian packages, and podman with settings that work everywhere."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

_BUILD = Path(__file__).resolve().parents[2] / "tools" / "build-container-image"
_CONFIGURATION = Path(__file__).with_name("containers.conf")


def podman_environment() -> dict[str, str]:
    """The environment for podman and for whatever starts it."""
    return {**os.environ, "CONTAINERS_CONF": str(_CONFIGURATION)}


@cache
def container_image(name: str) -> str:
    """The full name of an image (bookworm, trixie-virt …); the first call on a machine builds it."""
    built = subprocess.run([str(_BUILD), name], stdout=subprocess.PIPE, text=True, check=True)
    return built.stdout.strip().splitlines()[-1]
