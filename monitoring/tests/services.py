"""What the checks start: the real Prometheus, Alertmanager and blackbox exporter with the committed
configuration, the service itself, and receivers in the place of Slack and of a mail server.

Of the committed files only addresses, paths and times are changed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import socketserver
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from email import message_from_string
from email.header import decode_header, make_header
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import yaml

from tests.tools import HOME, program

T = TypeVar("T")

# How long anything may take to be ready: far more than it does.
READY = 60.0
# In links, so that messages read the same wherever the checks run.
PROMETHEUS_URL = "http://prometheus.example"
ALERTMANAGER_URL = "http://alertmanager.example"


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def get(url: str, timeout: float = 5, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(what: str, look: Callable[[], T | None], seconds: float = READY) -> T:
    """Looks until there is something to see."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if (seen := look()) is not None and seen is not False:
                return seen
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


class Process:
    """A program that runs until its `with` ends."""

    def __init__(self, name: str, command: list[str], scratch: Path, ready: str, **env: str) -> None:
        self.name, self.ready, self.scratch = name, ready, scratch
        self.log = scratch / f"{name}.log"
        # Should the checks be killed, it goes with them.
        self.command = ["setpriv", "--pdeathsig", "TERM", *command]
        inherited = {key: it for key, it in os.environ.items() if not key.startswith("ENCHUFE_")}
        self.env = {**inherited, **env}
        self.start()

    def start(self) -> None:
        with self.log.open("a") as log:
            self.child = subprocess.Popen(
                self.command, cwd=self.scratch, env=self.env,
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def __enter__(self):
        try:
            until(f"{self.name} ready", self.answers)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def answers(self) -> bool:
        if self.child.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {self.log.read_text()[-2000:]}")
        return get(self.ready)[0] == 200

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


# ---- Receivers


class Slack:
    """Takes what would go to Slack."""

    def __init__(self) -> None:
        self.payloads: list[dict] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.payloads.append(json.loads(body))
                self.send_response(200)
                self.send_header("content-type", "text/plain")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/secret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def about(self, alert: str, state: str, seconds: float = 60, since: int = 0) -> dict:
        """The message that says that this alert is in this state, of those that came since."""

        def found() -> dict | None:
            for payload in self.payloads[since:]:
                title = payload["attachments"][0]["title"]
                if title.startswith(f"[{state}") and f" {alert} " in title:
                    return payload
            return None

        return until(f"{alert} {state} in Slack", found, seconds)


class Mail:
    """Takes mail, in the few words of SMTP that are needed."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 test\r\n")
                while line := self.rfile.readline():
                    word = line.strip().upper()
                    if word == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        lines = []
                        while (line := self.rfile.readline()).rstrip(b"\r\n") != b".":
                            lines.append(line.decode())
                        outer.messages.append("".join(lines))
                    if word == b"QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    self.wfile.write(b"250 ok\r\n")

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def about(self, alert: str, state: str, seconds: float = 60) -> dict[str, str]:
        """Subject and parts of the mail about it."""

        def found() -> dict[str, str] | None:
            for text in self.messages:
                message = message_from_string(text)
                subject = str(message["Subject"])
                subject = str(make_header(decode_header(subject)))
                if subject.startswith(f"[{state}") and alert in subject:
                    parts = {
                        part.get_content_type(): part.get_payload(decode=True).decode()
                        for part in message.walk()
                        if not part.is_multipart()
                    }
                    return {"subject": subject, **parts}
            return None

        return until(f"{alert} {state} by mail", found, seconds)


# ---- The programs


def alertmanager(scratch: Path, slack: Slack, mail: Mail) -> Process:
    config = yaml.safe_load((HOME / "alertmanager/alertmanager.yml").read_text())
    secret = scratch / "slack_webhook_url"
    secret.write_text(slack.url)
    config["global"] |= {
        "slack_api_url_file": str(secret),
        "smtp_smarthost": f"127.0.0.1:{mail.port}",
    }
    config["templates"] = [str(HOME / "alertmanager" / it) for it in config["templates"]]
    config["route"] |= {"group_wait": "1s", "group_interval": "2s"}
    file = scratch / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    port = free_port()
    process = Process(
        "alertmanager",
        [
            program("prometheus-alertmanager"), f"--config.file={file}",
            f"--storage.path={scratch / 'alertmanager'}", "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{port}", f"--web.external-url={ALERTMANAGER_URL}",
            "--web.route-prefix=/",
        ],
        scratch, f"http://127.0.0.1:{port}/-/ready",
    )  # fmt: skip
    process.port = port
    return process


def blackbox(scratch: Path, ca: Path | None = None) -> Process:
    config = yaml.safe_load((HOME / "prometheus/blackbox.yml").read_text())
    if ca:
        config["modules"]["tls"]["http"]["tls_config"] = {"ca_file": str(ca)}
    file = scratch / "blackbox.yml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    process = Process(
        "blackbox",
        [
            program("prometheus-blackbox-exporter"), f"--config.file={file}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        scratch, f"http://127.0.0.1:{port}/-/healthy",
    )  # fmt: skip
    process.port = port
    return process


def prometheus(
    scratch: Path,
    rules: Path,
    addresses: dict[str, str],
    token: Path,
    *,
    interval: str = "1s",
    tls: list[str] | None = None,
    more: list[dict] | None = None,
) -> Process:
    """`addresses` says what stands here for each address of the committed configuration."""
    port = free_port()
    text = (HOME / "prometheus/prometheus.yml").read_text()
    for name, here in {**addresses, "localhost:9090": f"127.0.0.1:{port}"}.items():
        assert name in text, f"prometheus.yml does not name {name}"
        text = text.replace(name, here)
    config = yaml.safe_load(text)
    config["global"] = {key: interval for key in config["global"]}
    config["rule_files"] = [str(rules)]
    for job in config["scrape_configs"]:
        job.pop("scrape_interval", None)
        if "authorization" in job:
            job["authorization"]["credentials_file"] = str(token)
        if "file_sd_configs" in job:
            del job["file_sd_configs"]
            labels = {"namespace": "compose", "environment": "production"}
            job["static_configs"] = [{"targets": tls or [], "labels": labels}]
    config["scrape_configs"] += more or []
    file = scratch / "prometheus.yml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    process = Process(
        "prometheus",
        [
            program("prometheus"), f"--config.file={file}",
            f"--storage.tsdb.path={scratch / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}", f"--web.external-url={PROMETHEUS_URL}",
            "--web.route-prefix=/",
            # An alert is sent again this often at least, or Alertmanager would take it for resolved.
            "--rules.alert.resend-delay=1s",
        ],
        scratch, f"http://127.0.0.1:{port}/-/ready",
    )  # fmt: skip
    process.port = port
    return process


class Enchufe(Process):
    """The service, with its own data directory."""

    TOKEN = "enchufe_0123456789abcdef0123456789abcdef"

    def __init__(
        self, binary: str, scratch: Path, *flags: str, wrapper: list[str] | None = None, **env: str
    ) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = scratch / "data"
        self.metrics_token = scratch / "metrics-token"
        self.metrics_token.write_text("metrics_0123456789abcdef")
        super().__init__(
            "enchufe",
            [*(wrapper or []), binary, "serve", *flags],
            scratch,
            f"{self.url}/healthz",
            ENCHUFE_LISTEN=f"127.0.0.1:{self.port}",
            ENCHUFE_METRICS_LISTEN=f"127.0.0.1:{self.metrics_port}",
            ENCHUFE_DATA_DIR=str(self.data),
            ENCHUFE_ADMIN_TOKEN=self.TOKEN,
            ENCHUFE_METRICS_TOKEN_FILE=str(self.metrics_token),
            ENCHUFE_AUTH_FAILURES_PER_MINUTE="10000",
            **env,
        )

    def request(
        self, method: str, path: str, body: dict | None = None, timeout: float = 15
    ) -> tuple[int, dict]:
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self.TOKEN}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                text = answer.read().decode()
                status = answer.status
        except urllib.error.HTTPError as error:
            text, status = error.read().decode(), error.code
        try:
            return status, json.loads(text) if text else {}
        except ValueError:
            return status, {}

    def metrics(self) -> str:
        token = self.metrics_token.read_text()
        return get(f"http://127.0.0.1:{self.metrics_port}/metrics", authorization=f"Bearer {token}")[1]


class Ask:
    """Questions to a Prometheus."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters) -> dict:
        data = urllib.parse.urlencode(parameters).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", data, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def now(self, expression: str) -> list[dict]:
        answer = self.get("query", query=expression)
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        if answer["data"]["resultType"] == "scalar":
            return [{"metric": {}, "value": answer["data"]["result"]}]
        return answer["data"]["result"]

    def over(self, expression: str, seconds: int, step: int) -> list[dict]:
        end = time.time()
        answer = self.get("query_range", query=expression, start=end - seconds, end=end, step=step)
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]["result"]
