"""What cAdvisor and kube-state-metrics would tell of the service's pod: the shape is theirs, the
figures are made up. So that the expressions for Kubernetes can be run without a cluster."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

POD = 'namespace="city",pod="enchufe-0"'


def page(since: float) -> str:
    cadvisor = []
    for container, share in (("enchufe", 1), ("POD", 0.01), ("", 1.01)):
        labels = f'{POD},container="{container}",id="/kubepods/{container}"'
        cadvisor += [
            f'container_cpu_usage_seconds_total{{{labels},cpu="total"}} {0.2 * share * since}',
            f"container_cpu_cfs_periods_total{{{labels}}} {10 * since}",
            f"container_cpu_cfs_throttled_periods_total{{{labels}}} {since}",
            f"container_memory_working_set_bytes{{{labels}}} {5e7 * share}",
            f"container_memory_usage_bytes{{{labels}}} {1e8 * share}",
        ]
    pod = f'{POD},container="enchufe",uid="1"'
    state = [f"kube_pod_container_status_restarts_total{{{pod}}} 2"]
    for resource, unit, request, limit in (("cpu", "core", 0.25, 1), ("memory", "byte", 1.3e8, 2.6e8)):
        labels = f'{pod},node="n",resource="{resource}",unit="{unit}"'
        state += [
            f"kube_pod_container_resource_requests{{{labels}}} {request}",
            f"kube_pod_container_resource_limits{{{labels}}} {limit}",
        ]
    return "\n".join(cadvisor + state) + "\n"


class Kubernetes:
    def __init__(self) -> None:
        started = time.monotonic()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/plain")
                self.end_headers()
                self.wfile.write(page(time.monotonic() - started).encode())

            def log_message(self, *_) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.job = {
            "job_name": "kubernetes",
            # Their own `namespace` and `pod` are the ones that count.
            "honor_labels": True,
            "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}],
        }
