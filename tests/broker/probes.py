"""What a test of a real broker does to it and asks about it."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic


def written(bootstrap: str, topic: str, *values: bytes) -> None:
    """Create the topic and produce, each value confirmed."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "message.max.bytes": 17_000_000})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(20) == 0


def read_back(bootstrap: str, topic: str, count: int) -> list[bytes]:
    """Consume that many values from the start, in a new group."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{topic}-check", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        found = consumer.consume(count, timeout=30)
        return [value for message in found if message.error() is None and (value := message.value()) is not None]
    finally:
        consumer.close()


def is_running(process: int) -> bool:
    """Tell whether a process lives; a zombie does not."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.startswith("Z")


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Wait for something outside this process."""
    ended, never = time.monotonic() + within_s, threading.Event()
    while not condition():
        if time.monotonic() > ended:
            return False
        never.wait(0.02)
    return True


def listening_addresses(process: int) -> set[str]:
    """IPv4 form of the addresses a process listens on, from the kernel's tables."""
    links = [str(entry.readlink()) for entry in Path(f"/proc/{process}/fd").iterdir() if entry.is_symlink()]
    inodes = {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            cells = row.split()
            if cells[3] == "0A" and cells[9] in inodes:  # 0A is LISTEN
                found.add(socket.inet_ntoa(bytes.fromhex(cells[1].split(":")[0][-8:])[::-1]))
    return found
