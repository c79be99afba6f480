"""Traffic of every kind the panels show: good and bad requests, commands that succeed, are refused
and get no answer, a charger that misbehaves, and a language model that fails now and then."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.services import Enchufe

# A charger that never answers keeps a command this long.
COMMAND_TIMEOUT = "2s"


CLEAR_CACHE = {"command": "clear_cache", "parameters": {}}


class Model:
    """A language model behind the interface that many servers share. Every third answer fails."""

    def __init__(self) -> None:
        outer = self
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                outer.asked += 1
                said = {"sentiment": "neutral", "summary": "One sentence. Another one.", "topics": ["a", "b"]}
                answer = {
                    "id": "1", "object": "chat.completion", "created": 1, "model": "trial",
                    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps(said)}}],
                    "usage": {"prompt_tokens": 120, "completion_tokens": 40, "total_tokens": 160},
                }  # fmt: skip
                self.send_response(500 if outer.asked % 3 == 0 else 200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Traffic:
    """Goes on until its `with` ends."""

    def __init__(self, enchufe: Enchufe) -> None:
        self.enchufe = enchufe
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self.until_over, args=(work,))
            for work in (self.people, self.operator, self.rude_charger, self.journal)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def until_over(self, work) -> None:
        while not self.over.is_set():
            try:
                work()
            except (OSError, WebSocketException):
                # The service may be stopped under us; traffic does not mind.
                time.sleep(0.5)

    def people(self) -> None:
        for path in (
            "/", "/health", "/healthz", "/bye", "/riseload", "/nowhere", "/api/v1/stations",
            "/api/v1/stations/NOT-THERE", "/api/v1/sessions", "/api/v1/id-tags",
        ):  # fmt: skip
            self.enchufe.request("GET", path)
        for station in self.stations():
            self.enchufe.request("GET", f"/api/v1/stations/{station}")
        time.sleep(0.2)

    def stations(self) -> list[str]:
        _, page = self.enchufe.request("GET", "/api/v1/stations?limit=20")
        return [station["id"] for station in page.get("items", page.get("stations", []))]

    def operator(self) -> None:
        self.enchufe.request("POST", "/api/v1/stations", {"id": "TRIAL", "name": "Trial"})
        for status in ("charging", "available"):
            path = "/api/v1/stations/TRIAL/evses/1/connectors/1/status"
            self.enchufe.request("PUT", path, {"status": status})
        self.enchufe.request("DELETE", "/api/v1/stations/TRIAL")
        for station in self.stations()[:3]:
            self.enchufe.request("POST", f"/api/v1/stations/{station}/commands?wait=3", CLEAR_CACHE)
        time.sleep(0.5)

    def rude_charger(self) -> None:
        """Sends what cannot be read and what departs from the standard, and answers no command."""
        self.enchufe.request("POST", "/api/v1/stations", {"id": "RUDE", "name": "Rude"})
        url = self.enchufe.url.replace("http", "ws") + "/ocpp/RUDE"
        with connect(url, subprotocols=["ocpp1.6"]) as socket:
            order = threading.Thread(
                target=self.enchufe.request,
                args=("POST", "/api/v1/stations/RUDE/commands?wait=5", CLEAR_CACHE),
            )
            order.start()
            for number, (action, payload) in enumerate(
                (
                    ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M" * 30}),
                    ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"}),
                    ("NoSuchAction", {}),
                    ("StatusNotification", {"connectorId": "one"}),
                    ("Heartbeat", {}),
                )
            ):
                socket.send(json.dumps([2, f"{number}", action, payload]))
                time.sleep(0.2)
            order.join()

    def journal(self) -> None:
        status, made = self.enchufe.request(
            "POST",
            "/api/v1/journal/entries",
            {"work": "Replaced a cable", "struggle": "Rain", "intention": "Finish the row"},
        )
        if status == 201:
            self.enchufe.request("POST", f"/api/v1/journal/entries/{made['entry']['id']}/analyze")
        time.sleep(0.5)
