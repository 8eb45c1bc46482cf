"""Serves the page on this machine only, made again whenever a sweep has added records."""

from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from harness.core.errors import SpecError
from harness.report.contents import Report, Shown
from harness.report.page import page
from harness.results.schema import record_files
from harness.results.store import Store

HOST = "127.0.0.1"


class Live:
    """The page of a folder's records as they are now."""

    def __init__(self, store: Store) -> None:
        self.store, self.made, self.lock = store, ("", ""), Lock()

    def version(self) -> str:
        """Name what the records are, by their files' names, sizes and times."""
        states = []
        for path in record_files(self.store.folder):
            state = path.stat()
            states.append((str(path), state.st_size, state.st_mtime_ns))
        return sha256(repr(states).encode()).hexdigest()[:16]

    def page(self) -> str:
        """Return the page, which is made again only if the records have changed."""
        with self.lock:
            version = self.version()
            if self.made[0] != version:
                report = Report(self.store.records())
                made = Shown(report, list(map(str, self.store.faults())))
                self.made = version, page(made, version)
            return self.made[1]


def server(store: Store, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the page, which nothing but this machine can reach.

    Args:
        store: The records, to which a sweep may be adding.
        port: Where; 0 for one that is free.

    Raises:
        SpecError: The port is taken.
    """
    live = Live(store)
    answers = {"/": ("text/html", live.page), "/version": ("text/plain", live.version)}
    try:
        return ThreadingHTTPServer((HOST, port), _handler(answers))
    except OSError as error:
        raise SpecError(
            f"Port {port} cannot be used ({error.strerror}); choose another."
        ) from error


def _handler(answers: dict[str, tuple[str, Callable[[], str]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer what is known; a page elsewhere that gives itself our address gets nothing."""
            host = self.headers.get("Host", "").rpartition(":")[0]
            if host not in {HOST, "localhost"} or self.path not in answers:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            kind, make = answers[self.path]
            content = make().encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing of requests."""

    return Handler
