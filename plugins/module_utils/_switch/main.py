# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program beside a savepoint: python3 -I DIRECTORY VERB [ARGUMENT]. Private to this collection."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from typing import Any, Callable

from . import boot
from .place import Place, drop_report
from .watchdog import watch

_CONNECT_S = 2.0  # a watchdog that was killed is back by then
_RETRY_S = 0.1


def main() -> None:
    """Runs the verb; the answer is a line of JSON."""
    place = Place(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    verb, arguments = sys.argv[1], sys.argv[2:]
    if verb == "watch":
        watch(place)
    elif verb == "boot":
        boot.undo(place)
    else:
        sys.stdout.write(json.dumps(_ASKED[verb](place, *arguments)) + "\n")


def wait(place: Place, seconds: str) -> dict[str, Any]:
    """What has become of the change; waits some seconds for the end of the applying."""
    return ask(place, {"say": "wait"}, float(seconds))


def confirm(place: Place, nonce: str) -> dict[str, Any]:
    """Keeps the change."""
    return ask(place, {"say": "confirm", "nonce": nonce}, _CONNECT_S)


def forget(place: Place) -> dict[str, Any]:
    """Clears away what is finished and known to the controller."""
    final = place.read("final.json")
    if final is not None:
        drop_report(place.token)
        place.remove()
    return {"state": "forgotten" if final is not None else "applying"}


def ask(place: Place, request: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The watchdog's answer, or what it left; `applying` when there is none in time."""
    deadline = time.monotonic() + _CONNECT_S
    while True:
        final = place.read("final.json")
        if final is not None:
            return final
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(seconds)
                connection.connect(place.socket)
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile(encoding="utf-8") as lines:
                    answer: dict[str, Any] = json.loads(lines.readline())
                    return answer
        except socket.timeout:
            return {"state": "applying"}
        except (OSError, ValueError):
            if time.monotonic() > deadline:
                return _take_over(place)
        time.sleep(_RETRY_S)


def _take_over(place: Place) -> dict[str, Any]:
    """Nobody watches, so this process finishes it; the old state is safe, the new one nobody can vouch for."""
    if os.fork() == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        watch(place)
        os._exit(0)
    return {"state": "applying"}


_ASKED: dict[str, Callable[..., dict[str, Any]]] = {"wait": wait, "confirm": confirm, "forget": forget}
