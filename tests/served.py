"""A small web server for tests: it serves the files it is given, and breaks off when told to."""

import email.utils
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from harness.api import RemoteFile


@dataclass
class Site:
    """What a server on 127.0.0.1 has, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Contents by path, without the leading slash. Fill it before or while it is served."""
    asked: list[str] = field(default_factory=list)
    """Paths in the order in which they were asked for."""
    ranges: list[str] = field(default_factory=list)
    """The `Range` of each request, empty if it had none."""
    refusals: list[int] = field(default_factory=list)
    """Status codes of the next answers, which are refusals and count as not asked."""
    breaks: list[int] = field(default_factory=list)
    """After how many bytes the next answers break off."""
    etag: str = '"one"'
    """What the server calls the present state of its files."""
    knows_ranges: bool = True
    tells_length: bool = True
    """Whether answers say how long they are."""
    length: str = ""
    """What answers say of their length instead of the truth."""
    shift: int = 0
    """How many bytes behind what was asked for the rest of a file begins."""
    address: str = ""
    """Such as `http://127.0.0.1:40001`."""

    def put(self, name: str, content: bytes) -> RemoteFile:
        """Serve a file, and return what a task would say of it, with the right checksum."""
        self.files[name] = content
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return RemoteFile(name, (f"{self.address}/{name}",), checksum, len(content))


@contextmanager
def served(files: dict[str, bytes] | None = None) -> Iterator[Site]:
    """Serve files until the context is left."""
    site = Site(dict(files or {}))
    handler = type("Handler", (_Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        site.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: Site
    timeout = 10

    def do_GET(self) -> None:
        """Answer with a whole file, with the rest of one, or with part of what was promised."""
        site, asked = self.site, self.headers.get("Range", "")
        path = self.path.lstrip("/")
        if site.refusals:
            self.send_error(site.refusals.pop(0))
            return
        site.asked.append(path)
        site.ranges.append(asked)
        content = site.files.get(path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if asked and site.knows_ranges and self.headers.get("If-Range") == site.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-")) + site.shift
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", site.etag)
        self.send_header("Last-Modified", email.utils.formatdate(0, usegmt=True))
        if site.tells_length:
            self.send_header("Content-Length", site.length or str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: site.breaks.pop(0) if site.breaks else None])

    def log_message(self, *_: object) -> None:
        """Say nothing."""
