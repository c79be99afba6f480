"""What arrives: alerts given to the real Alertmanager, and read where Slack and the mail server would
be. With the worst label values that come to mind."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import unquote

from tests.golden import compare
from tests.services import Mail, Slack, alertmanager
from tests.tools import HOME, Tally, program

LINKS = {
    "runbook_url": "https://example.org/docs/runbooks.md#enchufedown",
    "dashboard_url": "https://grafana.example/d/enchufe-service?var-namespace=city&var-pod=a",
}
QUERY = "http://prometheus.example/graph?g0.expr=up%7Bjob%3D%22enchufe%22%7D+%3D%3D+0&g0.tab=1"

# A label could ring everybody, pass off a link, look like a line of ours, or end a query.
WICKED = '<!channel> & <https://evil.example|Runbook>\n*[RESOLVED:1] all is well* "}, {\\'


def run(tally: Tally) -> None:
    config = HOME / "alertmanager/alertmanager.yml"
    done = subprocess.run(
        [program("amtool"), "check-config", config], capture_output=True, text=True, check=False
    )
    tally.check("amtool check-config", done.stdout + done.stderr if done.returncode else None)
    routes(config, tally)
    with tempfile.TemporaryDirectory() as scratch:
        slack, mail = Slack(), Mail()
        with alertmanager(Path(scratch), slack, mail) as manager:
            messages(manager, slack, mail, tally)


def routes(config: Path, tally: Tally) -> None:
    """Who hears of what, as amtool reads it."""
    for labels, receiver in (
        (["severity=critical", "alertname=EnchufeDown"], "critical"),
        (["severity=high", "alertname=EnchufeCacheDown"], "high"),
        (["severity=high", "alertname=Watchdog"], "nowhere"),
        (["severity=critical", "alertname=Watchdog"], "nowhere"),
        (["alertname=SomethingElse"], "high"),
    ):
        done = subprocess.run(
            [program("amtool"), "config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receiver}", *labels],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        fault = done.stdout + done.stderr if done.returncode else None
        tally.check(f"{' '.join(labels)} goes to {receiver}", fault)


def alert(
    name: str, severity: str, annotations: dict | None = None, ended: bool = False, **labels: str
) -> dict:
    # From a moment ago, so that what ended has lasted.
    clock = lambda ago: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))  # noqa: E731
    base = {"app": "enchufe", "severity": severity, "environment": "test", "namespace": "city"}
    return {
        "labels": {"alertname": name, **base, **labels},
        "annotations": annotations if annotations is not None else {
            "summary": f"{name} in short", "description": f"{name} in a sentence.", **LINKS,
        },
        "startsAt": clock(60),
        "generatorURL": QUERY,
        **({"endsAt": clock(1)} if ended else {}),
    }  # fmt: skip


def send(manager, *alerts: dict) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{manager.port}/api/v2/alerts",
        data=json.dumps(alerts).encode(),
        headers={"content-type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=5).close()


def messages(manager, slack: Slack, mail: Mail, tally: Tally) -> None:
    wicked = {"pod": WICKED, "namespace": WICKED, "environment": WICKED, "app": "enchufe<!here>"}
    spoken = {
        "summary": f"summary {WICKED}",
        "description": f"description {WICKED}",
        "runbook_url": f"https://example.org/r?{WICKED}",
        "dashboard_url": f"https://example.org/d?{WICKED}",
    }
    send(
        manager,
        alert("EnchufeOne", "critical", pod="enchufe-0"),
        alert("EnchufeTwo", "critical", pod="enchufe-0"),
        alert("EnchufeTwo", "critical", pod="enchufe-1"),
        alert("EnchufeBare", "critical", annotations={}, environment="", namespace=""),
        alert("EnchufeWicked", "critical", spoken, **wicked),
        *(alert("EnchufeMany", "critical", pod=f"enchufe-{n:02}") for n in range(12)),
        alert("EnchufeCacheDown", "high", pod="enchufe-0"),
        alert("EnchufeWickedMail", "high", spoken, **{**wicked, "app": "enchufe"}),
        alert("Watchdog", "high", environment=""),
        alert("EnchufeDown", "critical", namespace="village"),
    )
    # On a busy machine a group may be sent before all of it is there, and again when it is.
    for name, count in {"One": 1, "Two": 2, "Bare": 1, "Many": 12, "Wicked": 1}.items():
        payload = slack.about(f"Enchufe{name}", f"FIRING:{count}]")
        compare(f"slack-{name.lower()}-firing.json", payload, tally)
        is_sound(f"Enchufe{name}", payload, tally)
    escaped(slack.about("EnchufeWicked", "FIRING"), wicked, tally)
    compare("mail-firing.json", mail.about("EnchufeCacheDown", "FIRING"), tally)
    found = mail.about("EnchufeWickedMail", "FIRING")
    compare("mail-wicked-firing.json", found, tally)
    html = found["text/html"]
    tally.check(
        "a mail's HTML holds no markup of a label's",
        "it does" if "<!channel>" in html or "evil.example|Runbook>" in html else None,
    )

    slack.about("EnchufeDown", "FIRING")
    before = len(slack.payloads)
    send(
        manager,
        # Down there: what is high follows from it and is not sent.
        alert("EnchufeLatencyHigh", "high", namespace="village"),
        alert("EnchufeOne", "critical", ended=True, pod="enchufe-0"),
        alert("EnchufeTwo", "critical", ended=True, pod="enchufe-0"),
        alert("EnchufeTwo", "critical", pod="enchufe-1"),
        alert("EnchufeCacheDown", "high", ended=True, pod="enchufe-0"),
    )
    compare("slack-one-resolved.json", slack.about("EnchufeOne", "RESOLVED"), tally)
    compare("slack-two-half-resolved.json", slack.about("EnchufeTwo", "FIRING:1]", since=before), tally)
    compare("mail-resolved.json", mail.about("EnchufeCacheDown", "RESOLVED"), tally)

    # The mail above was sent later than those below would have been.
    everything = json.dumps(slack.payloads) + "".join(mail.messages)
    for name, why in (("Watchdog", "goes nowhere"), ("EnchufeLatencyHigh", "follows from EnchufeDown")):
        tally.check(f"{name} {why}", "it was sent" if name in everything else None)
    critical_only = {it["attachments"][0]["title"].split()[1] for it in slack.payloads}
    tally.check(
        "what is high is not sent to Slack",
        f"{critical_only}" if "EnchufeCacheDown" in critical_only else None,
    )
    log = manager.log.read_text()
    tally.check(
        "Alertmanager complains of nothing",
        next((it for it in log.splitlines() if "level=error" in it), None),
    )


LINK = re.compile(r"<(https?://[^|<>\s]+)\|([A-Za-z ]+)>")


def is_sound(name: str, payload: dict, tally: Tally) -> None:
    """Nothing empty, nothing unfilled, and no angle bracket but around our links."""
    attachment = payload["attachments"][0]
    text = attachment["text"]
    fault = None
    if any(
        not str(attachment.get(key, "")).strip()
        for key in ("title", "text", "color", "fallback", "title_link")
    ):
        fault = "something is empty"
    elif "<no value>" in text or "**" in text or re.search(r"· *(·|$)", text, re.MULTILINE):
        fault = "something is left out"
    elif re.search(r"[<>]", LINK.sub("", text)):
        fault = "an angle bracket is not escaped"
    elif (
        payload["channel"]
        != f"#{'enchufe<!here>' if name == 'EnchufeWicked' else 'enchufe'}-prometheus-alarms"
    ):
        fault = f"it goes to {payload['channel']}"
    tally.check(f"the message of {name} is whole", fault)


def escaped(payload: dict, wicked: dict[str, str], tally: Tally) -> None:
    """The wicked labels arrive as text, and the silence is for exactly them."""
    text = payload["attachments"][0]["text"]
    names = [name for _, name in LINK.findall(text)]
    tally.check(
        "wicked labels add no link",
        f"{names}" if names != ["Runbook", "Dashboard", "Query", "Silence"] else None,
    )
    lines = [line for line in text.splitlines() if line.startswith("*")]
    tally.check("wicked labels add no line", f"{lines}" if len(lines) != 1 else None)
    silence = next(url for url, name in LINK.findall(text) if name == "Silence")
    matchers = unquote(silence.split("filter=")[1])
    said = re.findall(r'([a-z]+)="((?:[^"\\]|\\.)*)"', matchers)
    unescape = lambda value: json.loads(f'"{value}"')  # noqa: E731
    plain = {name: unescape(value) for name, value in said}
    wanted = {"alertname": "EnchufeWicked", "severity": "critical", **wicked}
    tally.check("the silence names the labels as they are", f"{plain}" if plain != wanted else None)
