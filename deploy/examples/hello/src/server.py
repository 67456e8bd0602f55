#!/usr/bin/env python3
"""A small web service: a page with a visit counter, and /health.

The page is read once, at start, so that a new release shows only after a restart. The counter
lives in data/, which Fairlead shares between releases.
"""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# The code sees the release it belongs to, even after `current` points to another one.
RELEASE = Path(__file__).resolve().parent.parent
VISITS = RELEASE / "data" / "visits"
PAGE = (RELEASE / "src" / "page.html").read_text()
counting = threading.Lock()


def count_visit():
    with counting:
        visits = int(VISITS.read_text()) + 1 if VISITS.exists() else 1
        VISITS.write_text(f"{visits}\n")
    return visits


def health():
    """What /health answers: without its place for the counter the page is not worth serving."""
    about = {"release": RELEASE.name[:12], "pid": os.getpid()}
    if "{visits}" not in PAGE:
        return 503, {"status": "error", **about, "reason": "page.html has no {visits}"}
    return 200, {"status": "ok", **about}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            status, answer = health()
            self.answer(status, "application/json", json.dumps(answer))
        elif self.path == "/":
            self.answer(200, "text/html", PAGE.replace("{visits}", str(count_visit())))
        else:
            self.answer(404, "text/plain", "not found\n")

    def log_request(self, code="-", size="-"):
        if self.path != "/health":  # asked several times a second
            super().log_request(code, size)

    def answer(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    port = int(os.environ["PORT"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print(f"hello: release {RELEASE.name[:12]} on port {port}, pid {os.getpid()}", flush=True)
        server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
