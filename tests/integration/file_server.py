# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server on 127.0.0.1 that gives one file in every good and bad way."""

from __future__ import annotations

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PIECE = 64 * 1024


class FileServer:
    """Serves `content`; the path says how: /good, /cut, /cut-once, /slow … (the methods give_ of the handler)."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.requests: list[tuple[str, str | None]] = []  # path and Range
        self.half_sent = threading.Event()  # /slow: half of the file is out
        self.go_on = threading.Event()  # /slow: waits for this
        self._server = _Server(self)

    def __enter__(self) -> FileServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_ignored: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, way: str) -> str:
        """The address of the file, given in this way."""
        return f"http://127.0.0.1:{self._server.server_port}/{way}"


class _Server(ThreadingHTTPServer):
    """Knows what it serves."""

    def __init__(self, files: FileServer) -> None:
        self.files = files
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    """One request; give_X answers /X."""

    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def files(self) -> FileServer:
        """What the test knows."""
        return self.server.files

    @property
    def content(self) -> bytes:
        """The file."""
        return self.files.content

    def do_GET(self) -> None:
        way, wanted = self.path.strip("/"), self.headers.get("Range")
        self.files.requests.append((way, wanted))
        self.close_connection = True
        getattr(self, f"give_{way.replace('-', '_')}", self.give_missing)(wanted)

    def give_good(self, _wanted: str | None) -> None:
        self._start(200, len(self.content))
        self._send(self.content)

    def give_missing(self, _wanted: str | None) -> None:
        self._start(404, 0)

    def give_cut(self, _wanted: str | None) -> None:
        """Half of what was promised, however often one asks."""
        self._start(200, len(self.content))
        self._send(self.content[: len(self.content) // 2])

    def give_cut_once(self, wanted: str | None) -> None:
        """Half of it, and the rest to whom asks for it."""
        if wanted is None:
            self._start(200, len(self.content), ETag='"1"')
            self._send(self.content[: len(self.content) // 2])
            return
        start, end = int(wanted.removeprefix("bytes=").rstrip("-")), len(self.content)
        matches = self.headers.get("If-Range") == '"1"'
        self._start(206 if matches else 200, end - start, **{"Content-Range": f"bytes {start}-{end - 1}/{end}"})
        self._send(self.content[start:])

    def give_changed(self, wanted: str | None) -> None:
        """Half of it; then the file is another one."""
        self._start(200, len(self.content), ETag='"1"' if wanted is None else '"2"')
        self._send(self.content[: len(self.content) // 2 if wanted is None else None])

    def give_no_length(self, _wanted: str | None) -> None:
        self._start(200, None)
        self._send(self.content)

    def give_chunked(self, _wanted: str | None) -> None:
        self._start(200, None, **{"Transfer-Encoding": "chunked"})
        self._send_chunks(self.content)
        self.wfile.write(b"0\r\n\r\n")

    def give_cut_chunked(self, _wanted: str | None) -> None:
        self._start(200, None, **{"Transfer-Encoding": "chunked"})
        self._send_chunks(self.content[: len(self.content) // 2])

    def give_login(self, wanted: str | None) -> None:
        expected = "Basic " + base64.b64encode(b"nbt:geheim").decode()
        if self.headers.get("Authorization") != expected:
            self._start(401, 0, **{"WWW-Authenticate": 'Basic realm="nbt"'})
            return
        self.give_good(wanted)

    def give_redirect(self, _wanted: str | None) -> None:
        self._start(302, 0, Location="/good")

    def give_slow(self, _wanted: str | None) -> None:
        half = len(self.content) // 2
        self._start(200, len(self.content))
        self._send(self.content[:half])
        self.files.half_sent.set()
        self.files.go_on.wait(60)
        self._send(self.content[half:])

    def _start(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, content: bytes) -> None:
        try:
            for start in range(0, len(content), _PIECE):
                self.wfile.write(content[start : start + _PIECE])
            self.wfile.flush()
        except OSError:  # the client has gone
            pass

    def _send_chunks(self, content: bytes) -> None:
        for start in range(0, len(content), _PIECE):
            piece = content[start : start + _PIECE]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def log_message(self, *_ignored: Any) -> None:
        """Says nothing."""
