"""A hub on this machine that has one data set, `own/set`, at one commit: forty questions in train.jsonl."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef" * 2 + "01234567"
ROWS = "".join(json.dumps({"prompt": f"What is {i}?", "response": "7"}) + "\n" for i in range(40)).encode()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == f"/datasets/own/set/resolve/{COMMIT}/train.jsonl":
            return self._send(200, ROWS)
        if path.startswith(f"/api/datasets/own/set/tree/{COMMIT}"):
            return self._send(200, [{"path": "train.jsonl", "type": "file", "size": len(ROWS), "oid": "a" * 40}])
        if path in ("/api/datasets/own/set", f"/api/datasets/own/set/revision/{COMMIT}"):
            return self._send(
                200, {"id": "own/set", "sha": COMMIT, "tags": [], "siblings": [{"rfilename": "train.jsonl"}]}
            )
        return self._send(404, {}, {"X-Error-Code": "EntryNotFound"})

    def _send(self, status, content, headers=None):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers = {"Content-Length": str(len(content)), "ETag": '"1"', "X-Repo-Commit": COMMIT} | (headers or {})
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@contextmanager
def hub(home):
    """The environment in which a process finds it, with its downloads in `home`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
        }
        server.shutdown()
        thread.join()
