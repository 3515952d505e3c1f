"""A real SSH server of a test's own on the loopback address, open to one key that it makes."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.conftest import free_port

SECONDS = 30
PRIVILEGE_SEPARATION = Path("/run/sshd")


class Ssh:
    """`with Ssh({"HOME": …}) as server:` lets `user` in by `key`, with this environment."""

    host = "127.0.0.1"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.user = getpass.getuser()
        self.port = free_port()
        self.home = Path(tempfile.mkdtemp(prefix="gantune-ssh-"))
        self.key = self.home / "key"
        self.environment = environment

    def __enter__(self) -> Self:
        sshd = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
        if not sshd:
            raise FileNotFoundError("no sshd: apt-get install openssh-server")
        for name in ("host", "key"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.home / name)]
            subprocess.run(make, check=True)
        settings = {
            "ListenAddress": f"{self.host}:{self.port}",
            "HostKey": self.home / "host",
            "AuthorizedKeysFile": self.home / "key.pub",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "PidFile": "none",
            "Subsystem": "sftp internal-sftp",
            "SetEnv": " ".join(f"{k}={v}" for k, v in self.environment.items()),
        }
        config = self.home / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
        with (self.home / "log").open("ab") as log:
            command = [sshd, "-D", "-e", "-f", str(config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"sshd does not answer: {(self.home / 'log').read_text()}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(SECONDS)
        shutil.rmtree(self.home, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), 1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False
