"""Run a program in a network with only loopback, and find which addresses it tried to reach."""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

_CONNECT = re.compile(r"connect\(\d+, \{sa_family=(\w+)(.*)")
_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
_ADDRESS = re.compile(r'(?:sin_addr=inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"')
_DNS_PORT = 53
# Sockets of this machine. AF_UNSPEC removes an address; AF_NETLINK asks the kernel about its own interfaces.
_OF_THIS_MACHINE = {"AF_UNIX", "AF_UNSPEC", "AF_NETLINK"}
_NAME_SERVICE = "systemd/resolve"


def attempts(trace: Iterable[str]) -> set[str]:
    """Return the addresses outside this machine that the `connect` calls of a trace tried to reach.

    A question to a name server counts wherever that server is: on many machines it listens on loopback, and a program
    asks it for the address of a host that it wants to reach.

    Args:
        trace: Lines of `strace -f -e trace=connect`.

    Returns:
        Addresses with their ports, or the raw call if it is not understood.
    """
    found = set()
    for line in trace:
        call = _CONNECT.search(line)
        if call is None:
            if "connect(" in line and "sa_family" in line:
                found.add(line.strip())
            continue
        family, rest = call.groups()
        if family in _OF_THIS_MACHINE and _NAME_SERVICE not in rest:
            continue
        address, port = _ADDRESS.search(rest), _PORT.search(rest)
        if address is None or port is None:
            found.add(line.strip())
        elif not _is_loopback(address[1]) or int(port[1]) == _DNS_PORT:
            found.add(f"{address[1]} port {port[1]}")
    return found


def _is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def run_offline(
    command: Sequence[str],
    *,
    system_tool: Callable[[str], str],
    trace: Path,
    environment: Mapping[str, str],
    folder: Path,
    seconds: float,
) -> subprocess.CompletedProcess[str]:
    """Run a command with all its processes under strace, in a separate network that has only loopback.

    Returns when the last of these processes has ended.

    Args:
        command: What to run.
        system_tool: Returns the path of a program.
        trace: File for the `connect` calls.
        environment: The whole environment of the command.
        folder: Working directory.
        seconds: Longest time; then `subprocess.TimeoutExpired` is raised.
    """
    # In a new process namespace as well: all processes end with this one, also when it is interrupted.
    unshare = [system_tool("unshare"), "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    unshare += ["--map-root-user"] if os.geteuid() else []
    strace = [
        system_tool("strace"),
        "-f",
        "--seccomp-bpf",
        "-e",
        "trace=connect",
        "-e",
        "signal=none",
        "-o",
        str(trace),
    ]
    enter = [*unshare, "sh", "-c", f'{system_tool("ip")} link set lo up && exec "$@"', "sh"]
    return subprocess.run(
        [*enter, *strace, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
