#!/usr/bin/env python3
"""As much of Kubernetes' API server as Events need: TLS, bearer tokens, and the rules by which events.k8s.io/v1 accepts one.

  fake_api.py DIR [PORT]
                      DIR has server.pem, server.key, token (the one that is good now) and mode; writes port, and a line of
                      JSON for each request into said

mode: ok; forbidden (403 for everything); terminating (403, as for a namespace that goes away); broken (500); slow (no answer
for a minute); forgetful (Events are gone as soon as they are made).
"""
import http.server
import json
import pathlib
import re
import ssl
import sys
import threading
import time

DIR = pathlib.Path(sys.argv[1])
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
PATH = re.compile(r"/apis/events\.k8s\.io/v1/namespaces/([^/]+)/events(?:/([^/]+))?")
KNOWN = {"apiVersion", "kind", "metadata", "eventTime", "type", "reason", "action", "reportingController", "reportingInstance", "regarding", "related",
         "note", "series"}
events = {}
lock = threading.Lock()


def wrong_with(event, namespace):
    """What a real one says of a new Event; None: nothing."""
    for field in set(event) - KNOWN:
        return f"unknown field {field}"
    meta = event.get("metadata", {})
    name = meta.get("name", "")
    if not NAME.fullmatch(name) or len(name) > 253:
        return "metadata.name: not a DNS subdomain"
    if meta.get("namespace") != namespace or event.get("regarding", {}).get("namespace") != namespace:
        return "namespaces do not match"
    if (event.get("apiVersion"), event.get("kind")) != ("events.k8s.io/v1", "Event"):
        return "not an Event"
    if not TIME.fullmatch(event.get("eventTime", "")):
        return "eventTime: not a MicroTime"
    if event.get("type") not in ("Normal", "Warning"):
        return "type"
    for field in ("reason", "action", "reportingInstance"):
        if not 0 < len(event.get(field, "")) <= 128:
            return f"{field}: missing, or more than 128 characters"
    if not NAME.fullmatch(event.get("reportingController", "")):
        return "reportingController: not a qualified name"
    if len(event.get("note", "")) > 1024:
        return "note: more than 1024 characters"
    for field in ("regarding", "related"):
        if field in event and (event[field].get("kind") != "Pod" or not event[field].get("uid")):
            return f"{field}: no pod"
    return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        text = json.dumps(body).encode()
        with lock, (DIR / "said").open("a") as file:
            sent = {"method": self.command, "path": self.path, "status": status, "event": self.sent}
            file.write(json.dumps(sent) + "\n")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuse(self, status, reason, message, causes=()):
        details = {"causes": [{"reason": c} for c in causes]}
        self.answer(status, {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "details": details})

    def refused(self):
        """Whether the request's sender, or the server's mode, has ended it already."""
        self.sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        mode = (DIR / "mode").read_text().strip()
        if self.headers.get("Authorization") != "Bearer " + (DIR / "token").read_text().strip():
            self.refuse(401, "Unauthorized", "Unauthorized")
        elif mode == "slow":
            time.sleep(60)
        elif mode == "broken":
            self.refuse(500, "InternalError", "etcd has no leader")
        elif mode == "forbidden":
            self.refuse(403, "Forbidden", "events is forbidden: cannot create resource")
        elif mode == "terminating":
            self.refuse(403, "Forbidden", "unable to create new content", ["NamespaceTerminating"])
        else:
            self.forgetful = mode == "forgetful"
            return False
        return True

    def do_POST(self):
        if self.refused():
            return
        namespace, name = PATH.fullmatch(self.path).groups()
        wrong = "a name in the path" if name else wrong_with(self.sent, namespace)
        if self.headers.get("Content-Type") != "application/json":
            return self.refuse(415, "UnsupportedMediaType", "")
        if wrong:
            return self.refuse(422, "Invalid", wrong)
        key = namespace, self.sent["metadata"]["name"]
        if key in events:
            return self.refuse(409, "AlreadyExists", "already exists")
        if not self.forgetful:
            events[key] = self.sent
        self.answer(201, self.sent)

    def do_PATCH(self):
        if self.refused():
            return
        if self.headers.get("Content-Type") != "application/merge-patch+json":
            return self.refuse(415, "UnsupportedMediaType", "")
        event = events.get(PATH.fullmatch(self.path).groups())
        if event is None:
            return self.refuse(404, "NotFound", "not found")
        series = self.sent.get("series", {})
        if set(self.sent) != {"series"} or set(series) != {"count", "lastObservedTime"}:
            return self.refuse(422, "Invalid", "field is immutable")
        if series["count"] < 2 or not TIME.fullmatch(series["lastObservedTime"]):
            return self.refuse(422, "Invalid", "series")
        event["series"] = series
        self.answer(200, event)


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
server.daemon_threads = True
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(DIR / "server.pem", DIR / "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
(DIR / "port.new").write_text(str(server.server_address[1]))
(DIR / "port.new").rename(DIR / "port")
server.serve_forever()
