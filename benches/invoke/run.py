#!/usr/bin/env python3
"""Measures how the local cloud runs a function: start-up and warm calls. See README.md."""

import argparse
import base64
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIGNATURE = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"
FUNCTION = "/2015-03-31/functions/hello"
EVENT = b'{"name":"Ada"}'
ANSWER = b'{"message":"Hello, Ada!"}'


class Cloud:
    """A local cloud with one runner, in which `hello` is deployed."""

    def __init__(self, program: str, runner: str, directory: Path):
        self.program, self.runner = program, runner
        self.environment = os.environ | {"LAMBDACTL_LOCAL_DIR": str(directory / runner), "AWS_REGION": "us-east-1"}
        words = [program, "local", "serve", "--runner", runner, "--output", "json"]
        self.server = subprocess.Popen(words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = re.search(r"http://([\d.:]+)", self.server.stdout.readline()).group(1)
        self.run("deploy", "--local", str(ROOT / "examples/hello"))

    def run(self, *words):
        subprocess.run([self.program, *words], env=self.environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self):
        self.server.terminate()
        self.server.wait()
        # With the image that the engine has loaded.
        self.run("local", "reset", "--yes")

    def connect(self):
        return http.client.HTTPConnection(self.address, timeout=120)

    @staticmethod
    def ask(connection, method: str, path: str, body=None, **headers):
        connection.request(method, path, body, {"Authorization": SIGNATURE} | headers)
        response = connection.getresponse()
        text = response.read()
        if response.status >= 300:
            sys.exit(f"{method} {path}: {response.status} {text.decode()}")
        return response, text

    def call(self, connection) -> tuple:
        """The seconds of one call, and those its environment took to start, if it had to."""
        began = time.monotonic()
        response, text = self.ask(connection, "POST", f"{FUNCTION}/invocations", EVENT, **{"X-Amz-Log-Type": "Tail"})
        wall = time.monotonic() - began
        if text != ANSWER:
            sys.exit(f"not the answer: {text.decode()}")
        log = base64.b64decode(response.headers["X-Amz-Log-Result"]).decode()
        init = re.search(r"Init Duration: ([\d.]+) ms", log)
        return wall, float(init.group(1)) / 1000 if init else None

    def renew(self, connection, number: int):
        """Changes the configuration, so that no environment can be used again."""
        body = json.dumps({"Environment": {"Variables": {"NUMBER": str(number)}}})
        self.ask(connection, "PUT", f"{FUNCTION}/configuration", body)
        while True:
            _, text = self.ask(connection, "GET", f"{FUNCTION}/configuration")
            if json.loads(text)["LastUpdateStatus"] == "Successful":
                return
            time.sleep(0.05)


def cold(cloud: Cloud, runs: int) -> list:
    """Seconds from the call to its answer where the environment has to be started."""
    connection, walls = cloud.connect(), []
    for number in range(runs):
        cloud.renew(connection, number)
        wall, init = cloud.call(connection)
        if init is None:
            sys.exit("an environment was used again")
        walls.append(wall)
    return walls


def warm(cloud: Cloud, calls: int) -> list:
    connection = cloud.connect()
    cloud.call(connection)
    return [cloud.call(connection)[0] for _ in range(calls)]


def together(cloud: Cloud, calls: int, callers: int = 10) -> float:
    """Calls a second of ten callers at the same time, whose environments are all there."""
    barrier = threading.Barrier(callers + 1)

    def work():
        connection = cloud.connect()
        for _ in range(20):
            cloud.call(connection)
        barrier.wait()
        for _ in range(calls // callers):
            cloud.call(connection)
        barrier.wait()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.monotonic()
    barrier.wait()
    return calls / (time.monotonic() - began)


def command(cloud: Cloud, runs: int) -> list:
    """Seconds of the whole `lambdactl invoke`, against the running server."""
    walls = []
    for _ in range(runs):
        began = time.monotonic()
        cloud.run("invoke", "--local", "hello", "--payload", EVENT.decode())
        walls.append(time.monotonic() - began)
    return walls


def engine(runs: int) -> list:
    """Seconds of `docker run` with the same image and limits: the program ends at once, as it has
    no Runtime API."""
    images = subprocess.run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "localhost/lambdactl/hello"], capture_output=True, text=True).stdout.split()
    options = ["--rm", "--network=host", "--read-only", "--tmpfs=/tmp", "--memory=640m", "--cap-drop=ALL", "--log-driver=none"]
    walls = []
    for _ in range(runs):
        began = time.monotonic()
        subprocess.run(["docker", "run", *options, images[0]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        walls.append(time.monotonic() - began)
    return walls


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runners", type=lambda text: text.split(","), default=["container", "sandbox"])
    words.add_argument("--runs", type=int, default=20, help="starts, and runs of commands")
    words.add_argument("--calls", type=int, default=1000, help="warm calls")
    words.add_argument("--lambdactl", default=str(ROOT / "target/release/lambdactl"))
    options = words.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="lambdactl-bench", dir=os.environ.get("TMPDIR", "/var/tmp")) as directory:
        for runner in options.runners:
            cloud = Cloud(options.lambdactl, runner, Path(directory))
            try:
                first, _ = cloud.call(cloud.connect())
                results[runner] = {
                    "first call, ms": [first],
                    "start and call, ms": cold(cloud, options.runs),
                    "warm call, ms": warm(cloud, options.calls),
                    "`lambdactl invoke`, ms": command(cloud, options.runs),
                    "calls/s, 10 callers": [together(cloud, options.calls) / 1000],
                }
                if runner == "container":
                    results["docker run"] = {"start and call, ms": engine(options.runs)}
            finally:
                cloud.end()
    print(f"{'':24} {'runner':12} {'median':>9} {'min':>9} {'p95':>9} {'ratio':>7}")
    for name in results[options.runners[0]]:
        reference = None
        for runner, measured in results.items():
            if name not in measured:
                continue
            values = sorted(measured[name])
            median = statistics.median(values) * 1000
            reference = reference or median
            tail = values[min(len(values) - 1, int(len(values) * 0.95))] * 1000
            print(f"{name:24} {runner:12} {median:9.2f} {values[0] * 1000:9.2f} {tail:9.2f} {median / reference:7.2f}")
        print()


if __name__ == "__main__":
    main()
