# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the house, read from the source: who imports whom, what is private, how large a piece may be."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = CHECKOUT / "plugins"
UTILS = PLUGINS / "module_utils"
OURS = "ansible_collections.nestbox.virt.plugins."

# a part of module_utils, and the parts that it may import; the longest name that fits counts
MAY_IMPORT = {
    "_errors": set(),
    "_units": {"_errors"},
    "_plan": {"_errors"},
    "_argspec": {"_errors"},
    "_deps": {"_errors"},
    "_files": set(),
    "_resource": {"_plan", "_errors"},
    "_xml": {"_xml", "_deps", "_errors", "_units"},
    "_libvirt": {"_libvirt", "_xml", "_plan", "_resource", "_errors", "_units", "_deps", "_argspec"},
    "_nocloud": {"_errors", "_deps"},
    "_hypervisor": {"_hypervisor", "_kmod", "_libvirt", "_xml", "_errors", "_deps"},
    "_kmod": {"_kmod", "_libvirt", "_xml", "_plan", "_resource", "_errors", "_deps", "_files"},
    "_seed": {"_nocloud", "_plan", "_resource", "_errors", "_argspec", "_files"},
    "_bridge": {"_bridge", "_files", "_plan", "_resource", "_errors", "_argspec", "_deps", "_libvirt"},
    "_fetch": {"_argspec", "_errors", "_libvirt"},
    "_switch": {"_switch"},
    "_guard": {"_switch", "_plan", "_errors"},
    "_runner": {"_argspec", "_errors", "_libvirt", "_plan", "_resource"},
    "_guarded_runner": {"_runner", "_guard", "_argspec", "_resource"},
}
# what stands beside them is local work, without libvirt and without Ansible
MAY_IMPORT_OTHERWISE = {"_errors", "_units", "_plan", "_resource", "_argspec", "_deps"}
# parts that import nothing beyond the standard library, and what comes in only through _deps.py
PURE = ("_xml", "_units", "_plan", "_errors", "_resource", "_switch", "_files")
ONLY_IN_DEPS = {"lxml", "libvirt", "libvirt_qemu"}
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 45

PLUGIN_FILES = sorted(path for path in PLUGINS.rglob("*.py") if "__pycache__" not in path.parts)
UTIL_FILES = [path for path in PLUGIN_FILES if UTILS in path.parents]
MODULE_FILES = [path for path in PLUGIN_FILES if path.parent.name == "modules"]


@functools.cache
def source(path: Path) -> ast.Module:
    """The syntax tree of a file; every rule reads it."""
    return ast.parse(path.read_text(encoding="utf-8"))


def short(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def part_of(path: Path) -> str:
    """The first name below module_utils: _xml for _xml/merge.py."""
    return path.relative_to(UTILS).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    """The name by which Python knows a file of plugins/."""
    name = ".".join(path.relative_to(PLUGINS).with_suffix("").parts)
    return OURS + name.removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, by its absolute name."""
    package = dotted(path) if path.name == "__init__.py" else dotted(path).rpartition(".")[0]
    for node in ast.walk(source(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            # `from . import x` may name a module; as a name inside `base` it does no harm
            yield from (f"{base}.{alias.name}" for alias in node.names)


def our_parts(path: Path) -> set[str]:
    """The parts of module_utils that a file imports."""
    prefix = OURS + "module_utils."
    return {name[len(prefix) :].split(".")[0] for name in imports(path) if name.startswith(prefix)}


@pytest.mark.parametrize("path", UTIL_FILES, ids=short)
def test_module_utils_import_only_what_lies_below_them(path: Path) -> None:
    part = part_of(path)
    allowed = MAY_IMPORT.get(part, MAY_IMPORT_OTHERWISE | {part})
    found = our_parts(path)
    assert not found - allowed, f"{short(path)} imports {sorted(found - allowed)}; {part} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=short)
def test_only_modules_and_the_runner_import_basic(path: Path) -> None:
    if path in MODULE_FILES or path == UTILS / "_runner.py":
        return
    found = [name for name in imports(path) if name.startswith("ansible.module_utils.basic")]
    assert not found, f"{short(path)} imports {found}"


@pytest.mark.parametrize("path", UTIL_FILES, ids=short)
def test_libraries_do_not_import_ansible(path: Path) -> None:
    found = sorted(name for name in imports(path) if name.split(".")[0] == "ansible")
    if path == UTILS / "_runner.py":
        return
    assert part_of(path) not in PURE or not found, f"{short(path)} is pure but imports {found}"
    assert not [name for name in found if not name.startswith("ansible.module_utils.")], f"{short(path)}: {found}"


@pytest.mark.parametrize("path", [path for path in PLUGIN_FILES if path.name != "_deps.py"], ids=short)
def test_lxml_and_libvirt_come_only_through_deps(path: Path) -> None:
    guarded = set() if UTILS in path.parents or path in MODULE_FILES else ONLY_IN_DEPS
    found = {name for name in runtime_imports(path) if name.split(".")[0] in ONLY_IN_DEPS - guarded}
    assert not found, f"{short(path)} imports {sorted(found)} itself"


def runtime_imports(path: Path) -> set[str]:
    """The imports outside `if TYPE_CHECKING:`."""
    tree = source(path)
    typing_only: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            typing_only.update(ast.walk(ast.Module(node.body, [])))
    found: set[str] = set()
    for node in set(ast.walk(tree)) - typing_only:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", UTIL_FILES, ids=short)
def test_module_utils_are_private_and_say_so(path: Path) -> None:
    assert part_of(path).startswith("_"), f"{short(path)} must start with an underscore"
    docstring = ast.get_docstring(source(path)) or ""
    assert "Private to this collection." in docstring, f"{short(path)} does not say that it is private"


@pytest.mark.parametrize("path", [path for path in UTIL_FILES if path.name != "_runner.py"], ids=short)
def test_only_the_runner_ends_a_module(path: Path) -> None:
    names = {node.attr for node in ast.walk(source(path)) if isinstance(node, ast.Attribute)}
    assert not names & {"exit_json", "fail_json"}, f"{short(path)} ends the module itself"


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=short)
def test_no_error_is_hidden(path: Path) -> None:
    for node in ast.walk(source(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else ""
            hidden = re.fullmatch(r"|Exception|BaseException", caught) and not isinstance(node.body[-1], ast.Raise)
            assert not hidden, f"{short(path)}:{node.lineno} catches everything"


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=short)
def test_a_piece_is_small_enough_to_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path not in MODULE_FILES:  # a module is documentation for the most part
        assert len(text.splitlines()) <= MAX_FILE_LINES, f"{short(path)} has more than {MAX_FILE_LINES} lines"
    for node in ast.walk(source(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{short(path)}:{node.lineno} {node.name} has {lines} lines"


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=short)
def test_header_names_the_licence(path: Path) -> None:
    head = path.read_text(encoding="utf-8").splitlines()[:6]
    assert "# SPDX-License-Identifier: GPL-3.0-or-later" in head, f"{short(path)} has no licence header"
