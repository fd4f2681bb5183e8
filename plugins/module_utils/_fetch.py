# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files from web servers, as a stream, with the client that get_url uses. Private to this collection."""

from __future__ import annotations

import http.client
import time
import urllib.error
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.urls import open_url

from ._argspec import ArgumentSpec
from ._errors import DownloadFailed, NotFoundError
from ._libvirt.volume_new import shown_url
from ._libvirt.volume_transfer import BLOCK_BYTES, Block, without_zeros

Params = dict[str, Any]

# documented by the fragment nestbox.virt.fetch; the names are those of ansible.builtin.get_url
FETCH = ArgumentSpec(
    options={
        "headers": {"type": "dict"},
        "http_agent": {"type": "str", "default": "ansible-httpget"},
        "use_proxy": {"type": "bool", "default": True},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "client_cert": {"type": "path"},
        "client_key": {"type": "path"},
        "url_username": {"type": "str"},
        "url_password": {"type": "str", "no_log": True},
        "force_basic_auth": {"type": "bool", "default": False},
        "use_netrc": {"type": "bool", "default": True},
        "timeout": {"type": "int", "default": 30},
    }
)

_PASSED_ON = tuple(name for name in FETCH.options if name != "headers")
_RESUMES = 3  # in a row, without a byte between them
_BROKEN = (OSError, http.client.HTTPException)


class Download:
    """One file of a web server; a connection that breaks is taken up again where it broke, if the server can."""

    def __init__(self, url: str, params: Params) -> None:
        self._url = url
        self._shown = shown_url(url)
        self._headers = {str(name): str(value) for name, value in (params["headers"] or {}).items()}
        self._options = {name: params[name] for name in _PASSED_ON}
        self._position = 0
        self._response = self._open({})
        self.size = _length(self._response)
        self._same_file = self._response.headers.get("ETag") or self._response.headers.get("Last-Modified")

    def blocks(self) -> Iterator[Block]:
        """The content, blocks of zeros as holes."""
        left = _RESUMES
        while True:
            try:
                block = self._response.read(BLOCK_BYTES)
            except _BROKEN as error:
                self._resume(left, error)
                left -= 1
                continue
            if block:
                self._position += len(block)
                left = _RESUMES
                yield from without_zeros(block)
            elif self.size is not None and self._position < self.size:
                self._resume(left, None)
                left -= 1
            else:
                return

    def close(self) -> None:
        """Ends the connection."""
        self._response.close()

    @property
    def can_tell_its_end(self) -> bool:
        """Whether a connection that breaks can be told from the end of the file."""
        return self.size is not None or "chunked" in (self._response.headers.get("Transfer-Encoding") or "").lower()

    def _open(self, more: dict[str, str]) -> Any:
        headers = {**self._headers, **more}
        try:
            return open_url(self._url, headers=headers, decompress=False, **self._options)
        except urllib.error.HTTPError as error:
            raise _refused(self._shown, error) from error
        except (urllib.error.URLError, ValueError, *_BROKEN) as error:
            # Ansible's own errors (certificates, proxies) are ValueErrors and ConnectionErrors
            reason = getattr(error, "reason", None) or error
            raise DownloadFailed(
                f"{self._shown} could not be fetched: {reason}. Check the address, the server, the proxy and the "
                "certificate.",
                details={"url": self._shown},
            ) from error

    def _resume(self, left: int, error: BaseException | None) -> None:
        of = "" if self.size is None else f" of {self.size}"
        broke = DownloadFailed(
            f"The connection to {self._shown} broke after {self._position}{of} bytes"
            f"{'' if error is None else f' ({error})'}. Nothing of it was kept; run the task again.",
            details={"url": self._shown, "received_bytes": self._position, "expected_bytes": self.size},
        )
        if not left or self._same_file is None or not self._position or self.size is None:
            raise broke from error
        self._response.close()
        time.sleep(0.5 * (_RESUMES - left))
        try:
            response = self._open({"Range": f"bytes={self._position}-", "If-Range": self._same_file})
        except DownloadFailed:
            if left == 1:
                raise broke from error
            return self._resume(left - 1, error)
        if response.getcode() != 206 or not _starts_at(response, self._position):
            response.close()
            raise broke from error
        self._response = response
        return None


def _length(response: Any) -> int | None:
    text = response.headers.get("Content-Length") or ""
    return int(text) if text.isdigit() else None


def _starts_at(response: Any, position: int) -> bool:
    return str(response.headers.get("Content-Range") or "").startswith(f"bytes {position}-")


def _refused(shown: str, error: urllib.error.HTTPError) -> NotFoundError | DownloadFailed:
    details = {"url": shown, "status": error.code}
    if error.code in (404, 410):
        return NotFoundError(
            f"{shown} does not exist: the server answered {error.code} {error.reason}. Correct the address.",
            details=details,
        )
    advice = "Give url_username and url_password, or headers." if error.code in (401, 403) else "Try again later."
    return DownloadFailed(
        f"{shown} could not be fetched: the server answered {error.code} {error.reason}. {advice}", details=details
    )
