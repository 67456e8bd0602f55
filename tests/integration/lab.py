"""A fleet of real agents on loopback, a real git repository, and the real `fairlead`.

Everything lives below one directory that the test owns; nothing else of the machine is touched.
"""

import contextlib
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HELLO = ROOT / "deploy" / "examples" / "hello"
POLL_S = 0.01
# Of one condition. Generous: it is only reached by a test that fails, also under a sanitizer.
PATIENCE_S = 30
# The last: a sanitizer in a program of another user, which may not write here.
FINDINGS = ("Sanitizer", "runtime error:", "ERROR: Can't open file")


def wait_until(condition, what, timeout=PATIENCE_S):
    """The condition's first true value; an AssertionError that says what did not happen."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"after {timeout} s still not: {what}"
        time.sleep(POLL_S)


# Outside the range the kernel gives to outgoing connections; tests that run side by side
# (pytest-xdist) take from parts of their own, and no port comes twice.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = itertools.cycle(random.sample(range(12000 + 1000 * WORKER, 13000 + 1000 * WORKER), 1000))


def free_port():
    for port in PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def process_alive(pid):
    """Exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def program_of(pid):
    """The name of a process's program."""
    return os.path.basename(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]).decode()


def children(pid):
    """Process ids of the children of pid, by program."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):    # it has ended meanwhile
                found[program_of(child)] = int(child)
    return found


def helper_user(bin_dir):
    """Whom gateway and probe become under root: nobody, where nobody can reach the programs."""
    folders = [Path(bin_dir).resolve(), *Path(bin_dir).resolve().parents]
    return "nobody" if all(folder.stat().st_mode & 0o001 for folder in folders) else "root"


class Result:
    """How a run of `fairlead` ended."""

    def __init__(self, args, run):
        self.args, self.status, self.out, self.err = args, run.returncode, run.stdout, run.stderr

    def __str__(self):
        return f"$ fairlead {' '.join(self.args)}\nexit status {self.status}\n{self.out}{self.err}"

    def exits(self, status):
        assert self.status == status, f"expected exit status {status}:\n{self}"
        return self

    def says(self, *words):
        for word in words:
            assert word.lower() in (self.out + self.err).lower(), f"does not say {word!r}:\n{self}"
        return self

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def ndjson(self):
        return [json.loads(line) for line in self.out.splitlines()]


class Repo:
    """A git repository whose history does not depend on who runs the test."""

    def __init__(self, path, env):
        self.path, self.env = path, env
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *args, text=True):
        run = subprocess.run(["git", "-C", self.path, *args], env=self.env, check=True,
                             capture_output=True, text=text)
        return run.stdout.strip() if text else run.stdout

    def write(self, files):
        """Content (str, bytes) by path; None removes."""
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def replace(self, name, old, new):
        text = (self.path / name).read_text()
        assert old in text, f"{name} has no {old!r}"
        self.write({name: text.replace(old, new)})

    def commit(self, files=None, message="change"):
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


class Host:
    """One agent with its own key, root, trust and ports, and the service it runs."""

    def __init__(self, fleet, name):
        self.fleet, self.name = fleet, name
        self.dir = fleet.dir / name
        self.trust, self.root = self.dir / "trust", self.dir / "srv"
        self.config, self.log = self.dir / "agent.yaml", self.dir / "agent.log"
        self.port, self.service_port = free_port(), free_port()
        self.agent = None
        self.trust.mkdir(parents=True)
        self.root.mkdir()
        self.write_config()
        self.key = self.run("key").stdout.split()[0]

    def write_config(self, **more):
        settings = {"listen": f"127.0.0.1:{self.port}", "root": self.root,
                    "state": self.dir / "state", "trust": self.trust, **more}
        lines = ["version: 1"] + [f"{key}: {json.dumps(value)}" if isinstance(value, dict) else f'{key}: "{value}"'
                                  for key, value in settings.items()]
        user = helper_user(self.fleet.bin)
        lines.append(f"users: {{ gateway: {user}, probe: {user} }}")
        lines.append(f'variables: {{ PORT: "{self.service_port}" }}')
        self.config.write_text("\n".join(lines) + "\n")

    def write_policy(self, signers):
        """Signers by name: dicts of key, and what differs from 'may do everything'."""
        lines = ["version: 1", "signers:"]
        for name, signer in signers.items():
            row = {"roles": "[observe, deploy, rollback]", "apps": '["*"]',
                   "environments": '["*"]', **signer}
            row["key"] = f'"{row["key"]}"'
            lines += [f"  {name}:"] + [f"    {key}: {value}" for key, value in row.items()]
        policy = self.trust / "policy.yaml"
        policy.write_text("\n".join(lines) + "\n")
        policy.chmod(0o644)

    def command(self, verb):
        return [self.fleet.bin / "fairlead-agent", verb, "--config", self.config]

    def run_any(self, verb):
        """Run a verb of the agent, however it ends."""
        return subprocess.run(self.command(verb), env=self.fleet.env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=2 * PATIENCE_S, check=False)

    def run(self, verb):
        run = self.run_any(verb)
        assert run.returncode == 0, f"fairlead-agent {verb}: {run.stdout}{run.stderr}"
        return run

    def start(self, command=None):
        """Start the agent (by another command, if given); returns once it listens."""
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.agent = subprocess.Popen(command or self.command("run"), env=self.fleet.env,
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.logged("listening on", before) or self.agent.poll() is not None,
                   f"{self.name} listens")
        assert self.agent.poll() is None, f"{self.name} did not start:\n{self.log.read_text()}"
        return self

    def stop_services(self):
        """Stop the services too; the agent is stopped for it and started again."""
        self.stop()
        self.run("stop-services")
        self.start()

    def logged(self, text, after=0):
        return text.encode() in self.log.read_bytes()[after:]

    def stop(self, how=signal.SIGTERM):
        """End the agent; its services stay."""
        if self.agent is None:
            return
        agent, self.agent = self.agent, None
        agent.send_signal(how)
        status = agent.wait(PATIENCE_S)
        assert how != signal.SIGTERM or status == 0, \
            f"{self.name} ended with {status}:\n{self.log.read_text()}"

    def get(self, path="/"):
        """(status, body) of the service; (0, why) when nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.service_port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    @property
    def health(self):
        status, body = self.get("/health")
        assert status == 200, f"{self.name}: /health answers {status} {body}"
        return json.loads(body)

    @property
    def pid(self):
        return self.health["pid"]

    @property
    def store(self):
        return self.root / "hello-production"

    @property
    def release(self):
        """The digest `current` points to, or None before the first deployment."""
        current = self.store / "current"
        return os.path.basename(os.readlink(current)) if current.is_symlink() else None

    @property
    def deployment_log(self):
        logs = list(self.dir.rglob("deployment.log"))
        return logs[0].read_text().splitlines() if logs else []


class Fleet:
    def __init__(self, directory, bin_dir, hosts=1, env=None):
        self.dir, self.bin = directory, bin_dir
        home = directory / "home"
        home.mkdir(parents=True)
        self.env = {
            "PATH": f"{bin_dir}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LANG": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
            **(env or {})}
        self.repo = Repo(directory / "app", self.env)
        shutil.copytree(HELLO, self.repo.path, dirs_exist_ok=True)
        self.first = self.repo.commit(message="hello")
        self.key_file = home / "deploy.key"
        self.inventory = directory / "fleet.yaml"
        self.signer = self.new_key(self.key_file)
        self.hosts = [Host(self, f"web{number}") for number in range(1, hosts + 1)]
        for host in self.hosts:
            host.write_policy({"ci": {"key": self.signer}})
        self.write_inventory()

    def new_key(self, path):
        """Make an operator's key; its public text."""
        text = self.fairlead("key", "new", "--key", path, plain=True).exits(0).out
        return next(word for word in text.split() if word.startswith("ed25519:"))

    def write_inventory(self, **keys):
        """Keys by host name stand in for the real ones."""
        lines = ["hosts:"]
        for host in self.hosts:
            key = keys.get(host.name, host.key)
            lines.append(f'  {host.name}: {{ address: "127.0.0.1:{host.port}", key: "{key}", '
                         f'labels: {{ env: production, role: web }} }}')
        self.inventory.write_text("\n".join(lines) + "\n")

    def start(self):
        for host in self.hosts:
            host.start()
        return self

    def popen(self, *args, cwd=None, plain=False, key=None, **how):
        """Start `fairlead`; `plain` leaves out the inventory and the key."""
        args = [str(arg) for arg in args]
        if not plain:
            args += ["-i", str(self.inventory), "--key", str(key or self.key_file)]
        return args, subprocess.Popen(
            [self.bin / "fairlead", *args], cwd=cwd or self.repo.path, env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            **how)

    def fairlead(self, *args, **how):
        args, process = self.popen(*args, **how)
        out, err = process.communicate(timeout=120)
        return Result(args, subprocess.CompletedProcess(args, process.returncode, out, err))

    def deploy(self, *args, **how):
        return self.fairlead("deploy", *args, **how)

    @property
    def host(self):
        return self.hosts[0]

    def releases(self):
        return [host.release for host in self.hosts]

    def pids(self):
        return [host.pid for host in self.hosts]

    def close(self):
        """Stop every agent and service; then nothing may be left, and no sanitizer may have spoken."""
        problems = []
        for host in self.hosts:
            try:
                host.stop()
            except (AssertionError, subprocess.TimeoutExpired) as problem:
                problems.append(str(problem))
            try:
                host.run("stop-services")
            except (AssertionError, subprocess.TimeoutExpired) as problem:
                problems.append(str(problem))
        problems += [f"{log}:\n{log.read_text(errors='replace')}" for log in self.dir.rglob("*.log*")
                     if any(word in log.read_text(errors="replace") for word in FINDINGS)]
        problems += [f"still running: {process}" for process in end_leftovers(self.dir)]
        assert not problems, "\n".join(problems)


def read_if_allowed(path):
    """Nothing of a process that has ended, or that belongs to somebody else."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def processes_below(directory):
    """Processes that a fleet in this directory has started, as 'pid command line'."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        # Its arguments, or HOME in its environment, say where it belongs.
        command = read_if_allowed(entry / "cmdline")
        where = command + read_if_allowed(entry / "environ")
        if os.fsencode(directory) in where and process_alive(int(entry.name)):
            found.append(entry.name + " " + command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def end_leftovers(directory):
    """What still runs although everything was stopped; it is killed, for the next test's sake."""
    try:
        wait_until(lambda: not processes_below(directory), "all processes ended")
        return []
    except AssertionError:
        left = processes_below(directory)
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process.split()[0]), signal.SIGKILL)
    return left


def build_fleet(directory, bin_dir, sanitizer_env, hosts):
    # Into files, so that a finding in any process of the tree is seen (Fleet.close).
    env = {name: f"{value}:log_path={directory / 'sanitizer.log'}"
           for name, value in sanitizer_env.items()}
    return Fleet(directory, bin_dir, hosts, env)
