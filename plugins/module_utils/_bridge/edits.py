# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of others that were edited: how an edit is taken back although the file has changed since; pure.

Private to this collection.
"""

from __future__ import annotations

import difflib

from .._errors import ConflictError

_CONTEXT = 3  # lines on either side by which a place is found again


def take_back(path: str, before: bytes, after: bytes, now: bytes) -> bytes:
    """`now` without the edit that once made `after` of `before`; raises ConflictError where that can't be told."""
    if now in (before, after):  # a removal that was cut short has put it back already
        return before
    old, new, lines = (content.splitlines(keepends=True) for content in (before, after, now))
    found = lines
    for tag, i1, i2, j1, j2 in reversed(difflib.SequenceMatcher(None, new, old, autojunk=False).get_opcodes()):
        if tag != "equal":
            start = _find(path, new, i1, i2, found)
            found = [*found[:start], *old[j1:j2], *found[start + (i2 - i1) :]]
    return b"".join(found)


def _find(path: str, new: list[bytes], first: int, last: int, lines: list[bytes]) -> int:
    """Where new[first:last] is in `lines` now: with as many neighbours as there still are, and only once."""
    for context in range(_CONTEXT, -1, -1):
        above, below = min(context, first), min(context, len(new) - last)
        wanted = new[first - above : last + below]
        if not wanted:
            break
        places = [at for at in range(len(lines) - len(wanted) + 1) if lines[at : at + len(wanted)] == wanted]
        if len(places) == 1:
            return places[0] + above
        if not context and first == last:
            break
    if not new:  # the edit had emptied the file, and somebody has filled it again
        return len(lines)
    raise ConflictError(
        f"{path} was edited by this module, and by somebody else at the same place since, so the edit can't be taken "
        f"back. Put the file right by hand; it was before:\n{b''.join(lines).decode(errors='replace')}",
        details={"path": path},
    )
