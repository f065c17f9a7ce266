#!/usr/bin/env python3
"""Measures `lambdactl push` beside its peers. See README.md."""

import argparse
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import chart

HERE = Path(__file__).resolve().parent
NAME = "lambdactl-bench"
# What part of the image each layer is: a distribution, a language, more of it, dependencies.
PARTS = (0.46, 0.37, 0.05, 0.12)
PUSHERS = {
    "docker": "docker push -q {target}",
    "skopeo": "skopeo --insecure-policy copy -q --dest-tls-verify=false docker-daemon:{image} docker://{target}",
    "podman": "podman push -q --tls-verify=false {image} docker://{target}",
    "lambdactl": "{lambdactl} push -q --image docker:{image} --function bench --repository {repository}{tag}",
}
# Somebody who may use the engine and not read its files.
AS_A_USER = "setpriv --reuid=65534 --regid=docker --clear-groups "
PUSHERS["unprivileged"] = AS_A_USER + PUSHERS["lambdactl"]


def run(command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **more)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(*words) -> subprocess.Popen:
    """Starts a part that says `ready`."""
    process = subprocess.Popen([sys.executable, *map(str, words)], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


class Registry:
    """docker-registry on loopback, emptied at will, whose log counts requests."""

    def __init__(self, directory: Path):
        directory.mkdir(exist_ok=True)
        self.directory, self.port, self.process = directory, free_port(), None
        self.log = directory / "registry.log"
        config = f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {directory}/store\n"
        config += f"http:\n  addr: 127.0.0.1:{self.port}\n"
        (directory / "registry.yml").write_text(config)

    def empty(self):
        self.stop()
        shutil.rmtree(self.directory / "store", ignore_errors=True)
        words = ["docker-registry", "serve", self.directory / "registry.yml"]
        self.process = subprocess.Popen(words, stdout=self.log.open("w"), stderr=subprocess.STDOUT)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("docker-registry does not start")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()

    def requests(self) -> list:
        """Those of the pushers; what ecr.py asks is not theirs."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if "Python-urllib" not in line]
        return re.findall(r'"(GET|HEAD|POST|PATCH|PUT) /v2/\S* HTTP', "\n".join(lines))

    def stored(self) -> int:
        blobs = (self.directory / "store").rglob("data")
        return sum(blob.stat().st_size for blob in blobs)


def layer(path: Path, files: list, size: float, prefix: str):
    """Packs files of this machine until there are `size` bytes of them."""
    total = 0
    with tarfile.open(path, "w") as archive:
        while total < size and files:
            file = files.pop()
            try:
                length = file.stat().st_size
                if not file.is_file() or file.is_symlink() or length > size / 4 + 1_000_000:
                    continue
                archive.add(file, arcname=f"{prefix}{file}", recursive=False)
            except OSError:
                continue
            total += length


def build(directory: Path, megabytes: float, versions: int, publisher: str | None = None):
    """Builds the images NAME:0, NAME:1, …: the same but for a layer of 1 MB at the top.

    Where there is a `publisher`, the images stand on one that its registry has.
    """
    files = [file for root in ("/usr/lib", "/usr/share", "/usr/bin") for file in Path(root).rglob("*")]
    files.sort()
    random.Random(1).shuffle(files)
    scripts = [file for file in files if file.suffix == ".py"]
    context = directory / "base"
    context.mkdir()
    dockerfile = "FROM scratch\n"
    for number, part in enumerate(PARTS):
        layer(context / f"{number}.tar", files, megabytes * 1e6 * part, f"layer{number}")
        dockerfile += f"ADD {number}.tar /\n"
    (context / "Dockerfile").write_text(dockerfile)
    classic = dict(os.environ, DOCKER_BUILDKIT="0")
    run(["docker", "build", "-q", "-t", f"{NAME}:base", context], env=classic)
    shutil.rmtree(context)
    base = f"{NAME}:base"
    if publisher:
        base = f"{publisher}/{NAME}-base:1"
        run(["docker", "tag", f"{NAME}:base", base])
        run(["docker", "push", "-q", base])
    for version in range(versions):
        context = directory / f"app{version}"
        context.mkdir()
        random.Random(version).shuffle(scripts)
        with (context / "app.py").open("wb") as app:
            app.write(f"# {version} {time.time()}\n".encode())
            for script in scripts:
                app.write(script.read_bytes()[:20_000])
                if app.tell() > 1_000_000:
                    break
        (context / "Dockerfile").write_text(f"FROM {base}\nCOPY app.py /var/task/\n")
        run(["docker", "build", "-q", "-t", f"{NAME}:{version}", context], env=classic)


def engine_pid():
    found = subprocess.run(["pidof", "dockerd"], capture_output=True, text=True).stdout.split()
    return found[0] if found else None


def engine_forgets():
    """Takes from the engine what it remembers of registries; it reads that anew each time."""
    root = subprocess.run(["docker", "info", "--format", "{{.DockerRootDir}}"], capture_output=True, text=True)
    for memory in Path(root.stdout.strip()).glob("image/*/distribution/*/sha256/*"):
        memory.unlink()


def cpu_of(pid) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


class Bench:
    def __init__(self, options, directory: Path):
        self.options, self.directory, self.tags = options, directory, False
        self.registry = Registry(directory)
        self.registry.empty()
        self.ports, self.parts = {"loop": self.registry.port}, []
        if "link" in options.link:
            self.ports["link"] = free_port()
            words = (self.ports["link"], self.registry.port, options.delay, options.rate)
            self.parts.append(start(HERE / "link.py", *words))
        self.ecr = {}
        for link, port in self.ports.items():
            self.ecr[link] = free_port()
            self.parts.append(start(HERE / "ecr.py", self.ecr[link], f"127.0.0.1:{port}", f"127.0.0.1:{self.registry.port}"))

    def end(self):
        self.registry.stop()
        for part in self.parts:
            part.terminate()

    def push(self, pusher: str, link: str, case: str, version: int, repository: str, context: Path = Path()) -> dict:
        image, port = f"{NAME}:{version}", self.ports[link]
        target = f"127.0.0.1:{port}/{repository}:{version}"
        tag = f" --tag {version}" if self.tags else ""
        command = PUSHERS[pusher].format(
            image=image, target=target, repository=repository, tag=tag, lambdactl=self.options.lambdactl, context=context
        )
        is_user = PUSHERS[pusher].startswith(AS_A_USER)
        cache = self.directory / ("cache-unprivileged" if is_user else "cache")
        if case in ("cold", "fresh"):
            shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(exist_ok=True)
        for path in (self.directory, cache):
            path.chmod(0o777)
        if case == "fresh":
            engine_forgets()
        if pusher == "docker":
            # Others take an image by its own name; this is no part of the push.
            run(["docker", "tag", image, target])
        own = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ecr[link]}", "AWS_REGION": "us-east-1"}
        own |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "XDG_CACHE_HOME": str(cache)}
        if is_user:
            own["HOME"] = str(cache)
        os.sync()
        pid = engine_pid()
        before, stored, engine = len(self.registry.requests()), self.registry.stored(), cpu_of(pid)
        began = time.monotonic()
        process = subprocess.Popen(
            ["sh", "-c", command] if "&&" in command else command.split(), env=os.environ | own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        peak = threading.Thread(target=self.watch, args=(process.pid,))
        peak.start()
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        peak.join()
        if status:
            sys.exit(f"{pusher} failed: {errors.decode()}")
        time.sleep(0.2)
        return {
            "wall": wall,
            "cpu": usage.ru_utime + usage.ru_stime,
            "engine": cpu_of(pid) - engine,
            "memory": self.peak,
            "sent": (self.registry.stored() - stored) / 1e6,
            "requests": len(self.registry.requests()) - before,
        }

    def watch(self, pid: int):
        """The peak of a process; what the system counts at its end includes ours from before."""
        self.peak = 0.0
        try:
            while True:
                status = Path(f"/proc/{pid}/status").read_text()
                self.peak = int(re.search(r"VmHWM:\s*(\d+)", status).group(1)) / 1024
                time.sleep(0.01)
        except (OSError, AttributeError):
            pass

    def measure(self, link: str, case: str) -> dict:
        results = {pusher: [] for pusher in self.options.pushers}
        repository = {pusher: f"{NAME}-{pusher}" for pusher in results}
        # By its tag ecr.py finds the newest image.
        self.tags = case == "fresh"
        if case != "cold":
            self.registry.empty()
            for pusher in results:
                self.push(pusher, link, "cold" if "{lambdactl}" in PUSHERS[pusher] else case, 0, repository[pusher])
        version = 0
        for _ in range(self.options.runs):
            for pusher in results:
                if case == "cold":
                    self.registry.empty()
                elif case in ("app", "fresh"):
                    # One of its own each time: nobody finds what another has pushed.
                    version += 1
                results[pusher].append(self.push(pusher, link, case, version, repository[pusher]))
        return results


def table(link: str, case: str, results: dict, against: str = "docker") -> dict:
    def median(pusher, key):
        return statistics.median(run[key] for run in results[pusher])

    print(f"\n{case}, {link}")
    print(f"{'':17} {'seconds':>8} {'min':>6} {'max':>6} {'ratio':>6} {'cpu':>6} {'engine':>7} {'MiB':>5} {'MB sent':>8} {'requests':>8}")
    reference = median(against, "wall") if against in results else None
    for pusher, runs in results.items():
        walls = [run["wall"] for run in runs]
        ratio = f"{median(pusher, 'wall') / reference:6.2f}" if reference else " " * 6
        print(
            f"{pusher:17} {median(pusher, 'wall'):8.2f} {min(walls):6.2f} {max(walls):6.2f} {ratio} "
            f"{median(pusher, 'cpu'):6.2f} {median(pusher, 'engine'):7.2f} {median(pusher, 'memory'):5.0f} "
            f"{median(pusher, 'sent'):8.1f} {median(pusher, 'requests'):8.0f}",
            flush=True,
        )
    return {pusher: median(pusher, "wall") for pusher in results}


def forget():
    """Removes the images of ours from the engine."""
    # Once by name, and once by digest: a name that moved on leaves one behind.
    for form in ("{{.Repository}}:{{.Tag}}", "{{.Repository}}@{{.Digest}}"):
        listed = subprocess.run(["docker", "images", "--digests", "--format", form], capture_output=True, text=True)
        names = [name for name in listed.stdout.split() if "<none>" not in name]
        ours = [name for name in names if name.startswith((f"{NAME}:", f"{NAME}@")) or f"/{NAME}-" in name]
        if ours:
            subprocess.run(["docker", "rmi", "-f", *ours], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    words = argparse.ArgumentParser(description=__doc__)
    several = lambda text: text.split(",")  # noqa: E731
    words.add_argument("--link", type=several, default=["loop", "link"])
    words.add_argument("--case", type=several, default=["cold", "app", "none"])
    words.add_argument("--pushers", type=several, default=["docker", "skopeo", "lambdactl"])
    words.add_argument("--published-base", action="store_true", help="the base image is in a registry on loopback")
    words.add_argument("--runs", type=int, default=5)
    words.add_argument("--size", type=float, default=282, help="megabytes of the image")
    words.add_argument("--delay", type=float, default=40, help="milliseconds a round trip takes")
    words.add_argument("--rate", type=float, default=200, help="megabits a second")
    words.add_argument("--lambdactl", default=str(HERE.parents[1] / "target/release/lambdactl"))
    words.add_argument("--svg", type=Path)
    words.add_argument("--json", type=Path)
    options = words.parse_args()
    versions = 1 + options.runs * len(options.pushers)
    with tempfile.TemporaryDirectory(prefix=NAME, dir=os.environ.get("TMPDIR", "/var/tmp")) as directory:
        directory = Path(directory)
        bench = Bench(options, directory)
        publisher = Registry(directory / "publisher") if options.published_base else None
        medians, everything = {}, {}
        try:
            if publisher:
                publisher.empty()
            build(directory, options.size, versions, publisher and f"127.0.0.1:{publisher.port}")
            if "podman" in options.pushers:
                for version in range(versions):
                    run(["sh", "-c", f"docker save {NAME}:{version} | podman load -q && podman tag localhost/{NAME}:{version} {NAME}:{version}"])
            for link in options.link:
                for case in options.case:
                    results = bench.measure(link, case)
                    medians[link, case] = table(link, case, results)
                    everything[f"{link}/{case}"] = results
        finally:
            bench.end()
            if publisher:
                publisher.stop()
            forget()
    if options.svg:
        options.svg.write_text(chart.svg(medians))
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
