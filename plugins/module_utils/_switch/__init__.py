# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead-man's switch of a change of the network: it is undone unless it is confirmed over a new connection.

The files of this package are copied beside the savepoint and run from there when the module is long gone, so they
import nothing but the standard library and each other. Private to this collection.
"""
