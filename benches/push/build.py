#!/usr/bin/env python3
"""Measures building and pushing a change beside `docker build && docker push`. See README.md."""

import argparse
import json
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import run as bench
from run import NAME

CLASSIC = dict(os.environ, DOCKER_BUILDKIT="0")
OWN = "{lambdactl} push -q {context} --function bench --repository {repository}{tag}"
PUSHERS = {
    # The image is built before the clock runs for the first, and while it runs for the second.
    "docker push": "docker push -q {target}",
    "docker build": "DOCKER_BUILDKIT=0 docker build -q -t {target} {context} && docker push -q {target}",
    "append": OWN,
    "unprivileged": bench.AS_A_USER + OWN,
    "assembled": OWN,
}


class Changes(bench.Bench):
    """Contexts with an application of 1 MB on a base of four layers that is in the registry."""

    def prepare(self, link: str):
        base = f"127.0.0.1:{self.ports[link]}/{NAME}-base:1"
        bench.run(["docker", "tag", f"{NAME}:base", base])
        bench.run(["docker", "push", "-q", base])
        for pusher in self.options.pushers:
            context = self.context(link, pusher)
            context.mkdir()
            if pusher == "assembled":
                text = f'[image]\nbase = "{base}"\nfiles = [{{ from = "app.py", to = "/var/task/app.py" }}]\n'
                (context / "lambdactl.toml").write_text(text)
            else:
                text = f"FROM {base}\nCOPY deps /opt/deps\nCOPY app.py /var/task/\n"
                (context / "Dockerfile").write_text(text)
            self.change(context, "deps")

    def context(self, link: str, pusher: str) -> Path:
        return self.directory / f"{link}-{pusher}".replace(" ", "-")

    def change(self, context: Path, what: str):
        """Writes another application, and with `deps` 31 MB of other dependencies."""
        if what == "none":
            return
        chosen = self.scripts.copy()
        random.shuffle(chosen)
        write(context / "app.py", chosen, 1_000_000)
        (context / "deps").mkdir(exist_ok=True)
        for number in range(31 if what == "deps" else 0):
            write(context / "deps" / f"{number}.py", chosen[number * 60 :], 1_000_000)

    def measure(self, link: str, case: str) -> dict:
        results = {pusher: [] for pusher in self.options.pushers}
        # By its tag ecr.py finds the newest image.
        self.tags = case == "fresh"
        self.registry.empty()
        self.prepare(link)
        for version in range(self.options.runs + 1):
            for pusher in results:
                context, repository = self.context(link, pusher), f"{NAME}-{pusher}".replace(" ", "-")
                if version:
                    self.change(context, case)
                if case == "fresh" and version:
                    for cache in self.directory.glob("cache*"):
                        shutil.rmtree(cache)
                if pusher == "docker push":
                    target = f"127.0.0.1:{self.ports[link]}/{repository}:{version}"
                    bench.run(["docker", "build", "-q", "-t", target, context], env=CLASSIC, stderr=subprocess.DEVNULL)
                done = self.push(pusher, link, case, version, repository, context)
                # The first one is new to the registry as a whole.
                if version:
                    results[pusher].append(done)
        for cache in self.directory.glob("cache*"):
            shutil.rmtree(cache)
        for pusher in results:
            shutil.rmtree(self.context(link, pusher))
        return results


def write(path: Path, scripts: list, size: int):
    with path.open("wb") as file:
        file.write(f"# {random.random()}\n".encode())
        for script in scripts:
            file.write(script.read_bytes()[:20_000])
            if file.tell() > size:
                break


def main():
    words = argparse.ArgumentParser(description=__doc__)
    several = lambda text: text.split(",")  # noqa: E731
    words.add_argument("--link", type=several, default=["loop", "link"])
    words.add_argument("--case", type=several, default=["app", "deps", "none"])
    words.add_argument("--pushers", type=several, default=list(PUSHERS))
    words.add_argument("--runs", type=int, default=5)
    words.add_argument("--size", type=float, default=219, help="megabytes of the base, in four layers")
    words.add_argument("--delay", type=float, default=40, help="milliseconds a round trip takes")
    words.add_argument("--rate", type=float, default=200, help="megabits a second")
    words.add_argument("--lambdactl", default=str(bench.HERE.parents[1] / "target/release/lambdactl"))
    words.add_argument("--json", type=Path)
    options = words.parse_args()
    bench.PUSHERS.update(PUSHERS)
    everything = {}
    with tempfile.TemporaryDirectory(prefix=NAME, dir=os.environ.get("TMPDIR", "/var/tmp")) as directory:
        changes = Changes(options, Path(directory))
        changes.scripts = [file for file in Path("/usr/lib").rglob("*.py") if file.is_file()]
        try:
            bench.build(Path(directory), options.size, 0)
            for link in options.link:
                for case in options.case:
                    results = changes.measure(link, case)
                    bench.table(link, case, results, "docker push")
                    everything[f"{link}/{case}"] = results
        finally:
            changes.end()
            bench.forget()
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
