# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The namespace in which this collection keeps what it remembers in a domain's metadata. Private to this collection."""

from __future__ import annotations

NAMESPACE = "https://nestbox.virt/xmlns/domain/1"
PREFIX = "nestbox"
