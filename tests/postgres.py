"""A real PostgreSQL server of a test's own: started, stopped, killed and started again.

The server refuses to run as root; then the account `postgres`, which its packages make, runs it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import psutil

SECONDS = 60
SETTINGS = (
    "fsync=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=100",
)


def program(name: str) -> str:
    """A program of PostgreSQL's, on the PATH or where Debian puts it; FileNotFoundError."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: -int(p.parts[-2]))
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, homes)))
    if not found:
        raise FileNotFoundError(f"no {name}: apt-get install postgresql")
    return found


class Postgres:
    """An empty server on a free port of this machine; `with Postgres() as server: server.url`.

    `user` may do everything, without a password. What it holds survives `kill` and `restart`; the
    end of the `with` removes it.
    """

    user = "gantune"

    def __init__(self) -> None:
        from tests.conftest import free_port

        self.port = free_port()
        self.home = Path(tempfile.mkdtemp(prefix="gantune-postgres-"))
        self.log = self.home / "log"
        self.process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.home, account.pw_uid, account.pw_gid)
        made = (program("initdb"), "--auth=trust", f"--username={self.user}", "--encoding=UTF8")
        self._call((*made, "--locale=C", "--no-sync", "--no-instructions", "-D", self.data))

    @property
    def data(self) -> str:
        """The folder of the cluster."""
        return str(self.home / "data")

    @property
    def url(self) -> str:
        """What `--storage` takes."""
        return self.url_of(self.user)

    def url_of(self, user: str, database: str = "postgres") -> str:
        """The same for another user or database."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> Self:
        """Start the server and wait until it answers; RuntimeError, with its log, if it does not.

        After a `kill`, the shared memory of dying backends may keep it from starting for a moment.
        """
        command: list[str] = [program("postgres"), "-D", self.data, "-p", str(self.port)]
        command += [word for setting in SETTINGS for word in ("-c", setting)]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                with self.log.open("ab") as log:
                    streams = {"stdout": log, "stderr": subprocess.STDOUT}
                    self.process = subprocess.Popen(command, **streams, **self._account())
            if self._answers():
                return self
            time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"PostgreSQL does not answer: {self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Shut it down in order, disconnecting whoever is connected."""
        if self.process:
            self.process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            self.process.wait(SECONDS)

    def kill(self) -> None:
        """Kill -9 the server and its backends, as a power cut would."""
        if self.process and self.process.poll() is None:
            server = psutil.Process(self.process.pid)
            everyone = [server, *server.children(recursive=True)]
            for process in everyone:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            self.process.wait(SECONDS)
            psutil.wait_procs(everyone, 5)

    def restart(self) -> None:
        """Stop it in order and start it again."""
        self.stop()
        self.start()

    def sql(self, *statements: str) -> str:
        """What psql says to these statements."""
        words = [word for statement in statements for word in ("-c", statement)]
        place = ("-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, "-d", "postgres")
        return self._call((program("psql"), "-X", "-q", "-A", "-t", *place, *words)).strip()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def _answers(self) -> bool:
        asked = (program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port))
        return subprocess.run(asked).returncode == 0

    def _call(self, command: Sequence[str]) -> str:
        done = subprocess.run(command, capture_output=True, text=True, **self._account())
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr}")
        return done.stdout

    def _account(self) -> dict[str, Any]:
        """Run as `postgres` where we are root; from a folder that account may enter."""
        root = {"user": "postgres", "group": "postgres", "extra_groups": []}
        return {"cwd": self.home, **(root if os.geteuid() == 0 else {})}
