# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specifications that can be added together. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Options = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class ArgumentSpec:
    """Options with the constraints that belong to them, so that a piece is declared once and used by many modules."""

    options: Options = field(default_factory=dict)
    mutually_exclusive: tuple[tuple[str, ...], ...] = ()
    required_together: tuple[tuple[str, ...], ...] = ()
    required_one_of: tuple[tuple[str, ...], ...] = ()
    required_if: tuple[tuple[Any, ...], ...] = ()
    required_by: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __add__(self, other: ArgumentSpec) -> ArgumentSpec:
        """Both pieces; an option that both declare is a programming error."""
        twice = set(self.options) & set(other.options)
        if twice:
            raise ValueError(f"declared twice: {', '.join(sorted(twice))}")
        return ArgumentSpec(
            options={**self.options, **other.options},
            mutually_exclusive=self.mutually_exclusive + other.mutually_exclusive,
            required_together=self.required_together + other.required_together,
            required_one_of=self.required_one_of + other.required_one_of,
            required_if=self.required_if + other.required_if,
            required_by={**self.required_by, **other.required_by},
        )

    def as_module_arguments(self) -> dict[str, Any]:
        """The keyword arguments of AnsibleModule."""
        return {
            "argument_spec": self.options,
            "mutually_exclusive": list(self.mutually_exclusive),
            "required_together": list(self.required_together),
            "required_one_of": list(self.required_one_of),
            "required_if": list(self.required_if),
            "required_by": dict(self.required_by),
        }


# documented by the fragment nestbox.virt.connection
CONNECTION = ArgumentSpec(options={"uri": {"type": "str", "default": "qemu:///system"}})

# documented by the fragment nestbox.virt.declaration
DECLARATION = ArgumentSpec(
    options={"name": {"type": "str"}, "uuid": {"type": "str"}, "xml": {"type": "str"}},
    required_one_of=(("name", "xml"),),
)
