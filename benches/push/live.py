#!/usr/bin/env python3
"""Measures the way from an edit to a live function beside the script it replaces. See README.md."""

import argparse
import os
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import run as bench
from build import write
from run import NAME

# How long an update takes in the local cloud, whoever asks for it.
SETTLING = 0.5
SCRIPT = """docker build -q -t {image} {context} && docker push -q {image} &&
{aws} lambda update-function-code --function-name {name} --image-uri {image} &&
{aws} lambda wait function-updated-v2 --function-name {name}"""
ALLOWED = ["--allow", "entry-point-not-executable", "--allow", "no-runtime-client"]


class Cloud:
    """A local cloud that Docker and the AWS CLI use as well."""

    def __init__(self, options, directory: Path):
        self.options, self.directory, self.scripts = options, directory, []
        self.environment = os.environ | {
            "LAMBDACTL_LOCAL_DIR": str(directory / "cloud"), "XDG_CACHE_HOME": str(directory / "cache"),
            "DOCKER_CONFIG": str(directory / "docker"), "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "", "DOCKER_BUILDKIT": "0",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        }
        words = [options.lambdactl, "local", "serve", "--output", "json"]
        self.server = subprocess.Popen(words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = re.search(r"http://([\d.:]+)", self.server.stdout.readline()).group(1)
        self.environment["AWS_ENDPOINT_URL"] = f"http://{self.address}"

    def end(self):
        self.server.terminate()
        self.server.wait()

    def run(self, command: str) -> float:
        """Runs it in a shell and returns how many seconds it took."""
        began = time.monotonic()
        done = subprocess.run(["sh", "-c", command], env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{command}\n{done.stdout}{done.stderr}")
        return time.monotonic() - began

    def prepare(self):
        """The base image in its repository, and a function for each of the two."""
        aws, options = self.options.aws, self.options
        self.run(f"{aws} ecr create-repository --repository-name {NAME}-base")
        self.run(f"{aws} ecr get-login-password | docker login --username AWS --password-stdin {self.address}")
        base = f"{self.address}/{NAME}-base:1"
        self.run(f"docker tag {NAME}:base {base} && docker push -q {base}")
        for name in ("script", "lambdactl"):
            context = self.directory / name
            context.mkdir()
            (context / "Dockerfile").write_text(f'FROM {base}\nCOPY app.py /var/task/\nENTRYPOINT ["/var/task/app.py"]\n')
            self.change(name)
            allowed = " ".join(ALLOWED)
            self.run(f"{options.lambdactl} deploy {context} --local --function {NAME}-{name} --create-role --builder engine {allowed}")

    def change(self, name: str):
        random.shuffle(self.scripts)
        write(self.directory / name / "app.py", self.scripts, 1_000_000)

    def measure(self) -> dict:
        results = {"script": [], "lambdactl": [], "lambdactl, engine": []}
        for run in range(self.options.runs + 1):
            for way, seconds in results.items():
                name = way.split(",")[0]
                self.change(name)
                context = self.directory / name
                if way == "script":
                    image = f"{self.address}/{NAME}-script:{run}"
                    took = self.run(SCRIPT.format(name=f"{NAME}-script", image=image, context=context, aws=self.options.aws))
                else:
                    builder = "engine" if way.endswith("engine") else "auto"
                    allowed = " ".join(ALLOWED)
                    took = self.run(f"{self.options.lambdactl} deploy {context} -q --local --function {NAME}-{name} --builder {builder} {allowed}")
                # The first of each is new to the registry, the engine or the cache.
                if run:
                    seconds.append(took - SETTLING)
        return results


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=5)
    words.add_argument("--size", type=float, default=219, help="megabytes of the base, in four layers")
    words.add_argument("--lambdactl", default=str(bench.HERE.parents[1] / "target/release/lambdactl"))
    words.add_argument("--aws", default=shutil.which("aws") or str(bench.HERE.parents[1] / "target/test-python/bin/aws"))
    options = words.parse_args()
    with tempfile.TemporaryDirectory(prefix=NAME, dir=os.environ.get("TMPDIR", "/var/tmp")) as directory:
        cloud = Cloud(options, Path(directory))
        cloud.scripts = [file for file in Path("/usr/lib").rglob("*.py") if file.is_file()]
        try:
            bench.build(Path(directory), options.size, 0)
            cloud.prepare()
            results = cloud.measure()
        finally:
            cloud.end()
            bench.forget()
    reference = statistics.median(results["script"])
    print(f"{'1 MB changed, to Active':24} {'seconds':>8} {'min':>6} {'max':>6} {'ratio':>6}")
    for way, seconds in results.items():
        median = statistics.median(seconds)
        print(f"{way:24} {median:8.2f} {min(seconds):6.2f} {max(seconds):6.2f} {median / reference:6.2f}")


if __name__ == "__main__":
    main()
