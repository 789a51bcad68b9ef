import asyncio
import socket

import pytest

from streams.errors import BrokerUnreachable, StartRefused
from streams.settings import KafkaSettings
from topology.cluster import Cluster, ExistingTopic
from topology.provision import differences, plan_of, plan_of_changelog, provision
from topology.topics import Topics

KAFKA = KafkaSettings(bootstrap="127.0.0.1:1", timeout_s=0.2)
TEXTS = plan_of(Topics.of(KAFKA).texts, KAFKA)
COMPACTED = plan_of_changelog("a-table-changelog", KAFKA)


def existing(name: str, partitions: int) -> dict[str, ExistingTopic]:
    return {name: ExistingTopic(name=name, partitions=partitions, ready=True)}


def test_topics_that_are_as_declared_are_fine() -> None:
    found = {**existing("texts", 4), **existing("a-table-changelog", 4)}
    configs = {"texts": {"cleanup.policy": "delete"}, "a-table-changelog": {"cleanup.policy": "compact"}}

    assert not list(differences([TEXTS, COMPACTED], found, configs))


def test_every_wrong_topic_is_named_with_what_to_do() -> None:
    found = {**existing("texts", 1), **existing("a-table-changelog", 4)}
    configs = {"a-table-changelog": {"cleanup.policy": "compact,delete"}}

    problems = list(differences([TEXTS, COMPACTED], found, configs))

    assert len(problems) == 2
    assert "FORGESTREAM_KAFKA_PARTITIONS=1" in problems[0]
    assert "cleanup.policy=compact,delete where compact is needed" in problems[1]


def test_a_topic_that_never_appeared_is_named() -> None:
    assert ["`texts` did not appear" in problem for problem in differences([TEXTS], {}, {})] == [True]


async def test_a_closed_port_is_one_sentence_that_says_what_to_correct() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"

        with pytest.raises(BrokerUnreachable) as caught:
            await provision([TEXTS], KafkaSettings(bootstrap=address, timeout_s=0.3))

    assert address in caught.value.message
    assert "Connection refused" in caught.value.message
    assert "FORGESTREAM_KAFKA" in caught.value.message
    assert "\n" not in caught.value.message


async def test_a_server_that_speaks_no_kafka_is_unreachable_too() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async with server:
        with pytest.raises(BrokerUnreachable):
            await Cluster(KafkaSettings(bootstrap=f"127.0.0.1:{port}", timeout_s=0.3)).topics()


def test_tls_files_that_do_not_exist_are_wrong_settings() -> None:
    with pytest.raises(StartRefused, match="the Kafka settings are wrong"):
        Cluster(KafkaSettings(bootstrap="127.0.0.1:1", security_protocol="SSL", tls_ca_file="/nowhere/ca.pem"))
