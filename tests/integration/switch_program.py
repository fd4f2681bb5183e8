# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands where a module stands: starts a change that is undone unless it is confirmed, and ends.

usage: switch_program.py JSON     links, files, commands (the change), confirm_timeout, die (kills itself at the end)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from ansible_collections.nestbox.virt.plugins.module_utils import _guard
from ansible_collections.nestbox.virt.plugins.module_utils._errors import SystemFailure, VirtError
from ansible_collections.nestbox.virt.plugins.module_utils._plan import Plan, Step


def main() -> None:
    """Answers as a module does."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])

    def work() -> dict[str, Any]:
        for command in wanted["commands"]:
            if subprocess.run(command, check=False).returncode:
                raise SystemFailure(f"{' '.join(command)} failed.")
        return {"changed": True}

    scope = _guard.Scope("bridge br0", wanted["links"], wanted["files"])
    plan = Plan([Step("bridge br0", "create", lambda: None)])
    try:
        _guard.check_nothing_pending()
        reports = _guard.unseen_reports(keep=False)
        answer = _guard.start(scope, plan, wanted["confirm_timeout"], work)
    except VirtError as error:
        answer, reports = error.as_result(), []
    print(json.dumps({**answer, "reports": reports}), flush=True)
    if wanted.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
