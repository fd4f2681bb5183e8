# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each molecule scenario as one test: its whole sequence, in containers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
import yaml

from tests.bench.containers import container_image, podman_environment

_CHECKOUT = Path(__file__).resolve().parents[2]
_SCENARIOS = sorted(path.parent for path in (_CHECKOUT / "extensions" / "molecule").glob("*/molecule.yml"))
_SHARED = _CHECKOUT / ".config" / "molecule" / "config.yml"
_TIMEOUT_S = 2400
_TAIL_LINES = 120
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# what molecule says while it exits with 0 although it tested nothing
_FALSE_GREEN = re.compile(r"no hosts matched|Could not match supplied host pattern|skipping: no hosts", re.IGNORECASE)


def faults(output: str, scenario: str, sequence: list[str], optional: set[str]) -> list[str]:
    """What is wrong with a run that ended with 0; `optional` actions may lack a playbook."""
    # the arrow has two shapes: with colours and without
    recap = re.findall(rf"^{scenario} (?:➜|>) (\w+): Executed: (\w+)", output, re.MULTILINE)
    found = [f"the output says: {said}" for said in _FALSE_GREEN.findall(output)]
    ran = [action for action, _result in recap]
    if ran != sequence:
        found.append(f"the sequence is {', '.join(sequence)}; these ran: {', '.join(ran)}")
    for action, result in recap:
        if result != "Successful" and not (result == "Missing" and action in optional):
            found.append(f"{action}: {result}")
    missing = re.search(r"missing=(\d+)", output)
    if missing is None or int(missing[1]) != sum(result == "Missing" for _action, result in recap):
        found.append("the recap counts other missing playbooks than the details name")
    return found


def sequence_of(scenario: Path) -> list[str]:
    """The actions that the scenario must run: its own, or those of the shared configuration."""
    own = yaml.safe_load((scenario / "molecule.yml").read_text()).get("scenario") or {}
    shared = yaml.safe_load(_SHARED.read_text())["scenario"]
    sequence: list[str] = own.get("test_sequence") or shared["test_sequence"]
    return sequence


def run_molecule(scenario: str, log: IO[str], ansible_home: Path) -> int:
    """Runs the scenario from the checkout's root: elsewhere molecule finds no hosts and is content."""
    molecule = Path(sys.executable).with_name("molecule")
    environment = {
        **podman_environment(),
        "ANSIBLE_HOME": str(ansible_home),
        "NO_COLOR": "1",
        "PATH": f"{molecule.parent}:{podman_environment()['PATH']}",
    }
    done = subprocess.run(
        [str(molecule), "test", "--scenario-name", scenario],
        cwd=_CHECKOUT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize("scenario", _SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Path, tmp_path: Path) -> None:
    declared = yaml.safe_load((scenario / "molecule.yml").read_text())
    for image in sorted({platform["image"] for platform in declared["platforms"]}):
        container_image(image)
    log = _CHECKOUT / "build" / "molecule" / f"{scenario.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        code = run_molecule(scenario.name, stream, tmp_path / "ansible")
    output = _COLOUR.sub("", log.read_text(errors="replace"))
    optional = set() if (scenario / "prepare.yml").exists() else {"prepare"}
    found = [f"molecule ended with {code}"] if code else faults(output, scenario.name, sequence_of(scenario), optional)
    tail = "\n".join(output.splitlines()[-_TAIL_LINES:])
    assert not found, f"{'; '.join(found)}\nThe whole output is in {log}; its end:\n{tail}"
    log.unlink()


def test_there_are_scenarios() -> None:
    assert "bench" in [scenario.name for scenario in _SCENARIOS]


_GREEN = """\
bench > create: Executed: Successful
bench ➜ prepare: Executed: Missing playbook (Remove from test_sequence to suppress)
bench ➜ converge: Executed: Successful
bench                     : actions=3  successful=2  disabled=0  skipped=0  missing=1  failed=0
"""


@pytest.mark.parametrize(
    ("replaced", "by", "fault"),
    [
        ("", "", None),
        ("bench ➜ converge: Executed: Successful\n", "", "these ran: create, prepare"),
        ("converge: Executed: Successful", "converge: Executed: Missing playbook", "converge: Missing"),
        ("converge: Executed: Successful", "converge: Executed: Failed", "converge: Failed"),
        ("missing=1", "missing=2", "the recap counts"),
        ("bench   ", "skipping: no hosts matched\nbench   ", "no hosts"),
        ("bench   ", "[WARNING]: Could not match supplied host pattern, ignoring: all\nbench   ", "Could not match"),
    ],
)
def test_false_greens_are_seen(replaced: str, by: str, fault: str | None) -> None:
    output = _GREEN.replace(replaced, by) if replaced else _GREEN
    found = faults(output, "bench", ["create", "prepare", "converge"], {"prepare"})
    assert found == [] if fault is None else fault in "; ".join(found)
