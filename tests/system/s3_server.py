"""A real S3 server on this machine: OpenStack Swift with its S3 interface, one disk and one copy of each object."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from getpass import getuser
from pathlib import Path
from typing import Any

from obstore.store import S3Store

ACCOUNT, USER, SECRET = "flood", "analyst", "a-secret"
PARTS = ("account", "container", "object")
PROGRAMS = (*(f"swift-{part}-server" for part in (*PARTS, "proxy")), "swift-ring-builder", "memcached")
_START_SECONDS = 180.0


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


class S3Server:
    """A server with a folder of its own.

    Args:
        folder: Its configuration and objects.
        find: Returns the path of a program by its name.
    """

    def __init__(self, folder: Path, find: Callable[[str], str]) -> None:
        self._folder = folder
        self._programs = {name: find(name) for name in PROGRAMS}
        ports = _free_ports(len(PARTS) + 2)
        self._ports = dict(zip((*PARTS, "proxy", "memory"), ports, strict=True))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()
        self._configure()

    @property
    def endpoint(self) -> str:
        """The address of the S3 interface."""
        return f"http://127.0.0.1:{self._ports['proxy']}"

    def variables(self, secret: str = SECRET) -> dict[str, str]:
        """Return the environment variables of a user of the server."""
        return {
            "AWS_ACCESS_KEY_ID": f"{ACCOUNT}:{USER}",
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def start(self) -> None:
        """Start the processes, and return when the server answers."""
        memory = self._programs["memcached"]
        self._run([memory, "-l", "127.0.0.1", "-p", str(self._ports["memory"]), "-u", getuser()], "memory")
        for part in (*PARTS, "proxy"):
            self._run([self._programs[f"swift-{part}-server"], str(self._folder / f"{part}.conf")], part)
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > end or any(process.poll() is not None for process in self._processes):
                logs = "\n".join(path.read_text("utf-8")[-2000:] for path in sorted(self._folder.glob("*.log")))
                self.stop()
                raise RuntimeError(f"the S3 server does not start:\n{logs}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End the processes; the objects stay."""
        for process in self._processes:
            process.kill()  # at a friendly end it waits for open connections of its users
        for process in self._processes:
            process.wait()
        self._processes.clear()
        self._stack.close()

    def bucket(self, name: str) -> S3Store:
        """Make a bucket, and return it for its owner."""
        signed_in = self._ask("/auth/v1.0", {"X-Storage-User": f"{ACCOUNT}:{USER}", "X-Storage-Pass": SECRET})
        self._ask(f"/v1/AUTH_{ACCOUNT}/{name}", {"X-Auth-Token": signed_in["X-Auth-Token"]}, "PUT")
        return S3Store(
            name,
            access_key_id=f"{ACCOUNT}:{USER}",
            secret_access_key=SECRET,
            endpoint=self.endpoint,
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def _ask(self, path: str, headers: dict[str, str], method: str = "GET") -> Any:
        request = urllib.request.Request(self.endpoint + path, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=_START_SECONDS) as answer:
            return answer.headers

    def _answers(self) -> bool:
        try:
            self.bucket("ready")  # needs the servers of accounts and containers
        except OSError:
            return False
        return True

    def _run(self, command: list[str], name: str) -> None:
        log = self._stack.enter_context((self._folder / f"{name}.log").open("wb"))
        self._processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))

    def _configure(self) -> None:
        (self._folder / "disks" / "one").mkdir(parents=True)
        random = os.urandom(8).hex()
        self._write("swift", {"swift-hash": {"swift_hash_path_suffix": random}, "storage-policy:0": {"name": "only"}})
        for part in PARTS:
            place = f"r1z1-127.0.0.1:{self._ports[part]}/one"
            for step in (("create", "4", "1", "1"), ("add", place, "1"), ("rebalance",)):
                command = [self._programs["swift-ring-builder"], str(self._folder / f"{part}.builder"), *step]
                done = subprocess.run(command, capture_output=True, check=False)
                if done.returncode not in (0, 1):  # 1 is a warning
                    raise RuntimeError(f"{command}: {(done.stdout + done.stderr).decode()}")
            self._write(
                part,
                {
                    "DEFAULT": self._common(part) | {"devices": self._folder / "disks", "mount_check": "false"},
                    "pipeline:main": {"pipeline": f"{part}-server"},
                    f"app:{part}-server": {"use": f"egg:swift#{part}"},
                },
            )
        filters: dict[str, dict[str, Any]] = {
            "cache": {"use": "egg:swift#memcache", "memcache_servers": f"127.0.0.1:{self._ports['memory']}"},
            "listing_formats": {"use": "egg:swift#listing_formats"},
            "s3api": {"use": "egg:swift#s3api", "location": "us-east-1"},
            "tempauth": {"use": "egg:swift#tempauth", f"user_{ACCOUNT}_{USER}": f"{SECRET} .admin"},
        }
        self._write(
            "proxy",
            {
                "DEFAULT": self._common("proxy"),
                "pipeline:main": {"pipeline": " ".join((*filters, "proxy-server"))},
                "app:proxy-server": {
                    "use": "egg:swift#proxy",
                    "account_autocreate": "true",
                    "allow_account_management": "true",
                },
                **{f"filter:{name}": values for name, values in filters.items()},
            },
        )

    def _common(self, part: str) -> dict[str, Any]:
        return {
            "bind_ip": "127.0.0.1",
            "bind_port": self._ports[part],
            "workers": 0,
            "user": getuser(),
            "swift_dir": self._folder,
            "fallocate_reserve": 0,
        }

    def _write(self, name: str, sections: dict[str, dict[str, Any]]) -> None:
        lines = [
            line
            for section, values in sections.items()
            for line in (f"[{section}]", *(f"{key} = {value}" for key, value in values.items()), "")
        ]
        (self._folder / f"{name}.conf").write_text("\n".join(lines), "utf-8")
