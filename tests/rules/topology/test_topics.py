from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from schemas.records import Feedback, KnowledgeDocument, Origin, TextQuery
from streams.producer import ENVELOPE_BYTES
from streams.settings import KafkaSettings
from topology.provision import plan_of, plan_of_changelog
from topology.topics import REQUEST_KEY, Topics

AT = datetime(2026, 11, 21, tzinfo=UTC)
ALONE = Origin(request_id="r-1", correlation_id="c-1", event_time=AT, deadline=AT + timedelta(minutes=1))
TOPICS = Topics.of(KafkaSettings())


def test_every_topic_has_its_own_name_with_dashes() -> None:
    names = [topic.name for topic in TOPICS]

    assert len(names) == len(set(names)) == 33
    assert not [name for name in names if "_" in name]
    assert "speech-requests" in names


def test_a_prefix_stands_before_every_name() -> None:
    assert all(topic.name.startswith("replay-7.") for topic in Topics.of(KafkaSettings(topic_prefix="replay-7.")))


def test_all_topics_have_the_same_number_of_partitions() -> None:
    """A key has to stay on its partition from stage to stage, and a table on those of its sources."""
    assert {topic.partitions for topic in Topics.of(KafkaSettings(partitions=12))} == {12}


def test_a_conversation_keeps_its_records_together_and_a_lone_request_stands_alone() -> None:
    key = TOPICS.texts.key

    assert key(TextQuery(origin=ALONE, query="?")) == "default#r-1"
    assert key(TextQuery(origin=replace(ALONE, session_id="s-1"), query="?")) == "default#s-1"
    assert key(TextQuery(origin=replace(ALONE, session_id="s-1", tenant="b"), query="?")) == "b#s-1"


def test_a_document_is_keyed_by_its_id_so_that_a_tombstone_finds_it() -> None:
    document = KnowledgeDocument(document_id="d-1", title="", text="", updated_at=AT)

    assert TOPICS.knowledge.key(document) == "d-1"
    assert TOPICS.knowledge.compacted


@pytest.mark.parametrize(("pack", "key"), [("p-1", "p-1"), (None, "r-1")])
def test_feedback_is_keyed_by_the_pack_it_is_about(pack: str | None, key: str) -> None:
    feedback = Feedback(
        origin=ALONE,
        feedback_id="f-1",
        context_pack_id=pack,
        chunk_ids=(),
        query="?",
        output="!",
        model="m",
        provider="p",
        cell="general/analysis",
        reward=0.5,
        passed=True,
        scores=(),
        tokens_used=1,
        latency_ms=1.0,
    )

    assert TOPICS.feedback.key(feedback) == key


def test_the_request_path_ends_requests_and_the_rest_does_not() -> None:
    ending = {topic.name for topic in TOPICS if topic.ends_request}

    path = {"texts", "audio", "requests", "embeddings", "contexts", "prompts", "answers", "evaluations"}
    assert ending == {*path, "duplicates"}
    assert {topic.key_name for topic in TOPICS if topic.name in path} == {REQUEST_KEY}


def test_the_dead_letter_topic_takes_whatever_any_other_topic_takes() -> None:
    largest = max(topic.max_message_bytes for topic in TOPICS if topic is not TOPICS.dead_letters)

    assert TOPICS.dead_letters.max_message_bytes > largest


@pytest.mark.parametrize("name", ["x-speech-requests", "speech-requests", "speech_requests"])
def test_a_topic_is_found_by_any_of_its_names(name: str) -> None:
    topics = Topics.of(KafkaSettings(topic_prefix="x-"))

    assert topics.named(name) is topics.speech_requests


@pytest.mark.parametrize("name", ["", "nothing", "x-texts", "__class__", "texts "])
def test_a_name_that_is_no_topic_finds_none(name: str) -> None:
    assert TOPICS.named(name) is None


def test_every_topic_says_what_it_is_kept_for() -> None:
    assert all(topic.doc and topic.owner and topic.key_name for topic in TOPICS)


def test_a_compacted_topic_is_compacted_only() -> None:
    """Faust's recovery and the views hang on topics that also delete."""
    plan = plan_of(TOPICS.standings, KafkaSettings())

    assert plan.config["cleanup.policy"] == "compact"
    assert "retention.ms" not in plan.config


def test_what_was_deleted_from_a_table_leaves_its_changelog_within_a_day() -> None:
    """Kafka's own default is never: the newest segment is not compacted, and without traffic it stays the newest."""
    plan = plan_of_changelog("changelog", KafkaSettings())

    assert (plan.config["cleanup.policy"], plan.config["max.compaction.lag.ms"]) == ("compact", "86400000")


def test_effects_are_kept_for_a_day_in_segments_that_can_go_in_time() -> None:
    """The log of what was done outside must not grow for ever, and nobody deletes from it."""
    plan = plan_of(TOPICS.effects, KafkaSettings())

    assert set(plan.config["cleanup.policy"].split(",")) == {"compact", "delete"}
    assert int(plan.config["retention.ms"]) == 24 * 3600 * 1000
    assert int(plan.config["segment.ms"]) == 3600 * 1000


def test_a_topic_that_is_not_compacted_is_kept_for_its_retention() -> None:
    plan = plan_of(TOPICS.tokens, KafkaSettings(min_insync_replicas=2))

    assert plan.config == {
        "cleanup.policy": "delete",
        "retention.ms": str(24 * 3600 * 1000),
        "max.message.bytes": str(TOPICS.tokens.max_message_bytes + ENVELOPE_BYTES),
        "min.insync.replicas": "2",
    }
