import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.settings import Settings, reference
from topology.cli.root import commands
from topology.cli.settings_command import markdown

NOBODY = {"FORGESTREAM_KAFKA": "127.0.0.1:1", "FORGESTREAM_KAFKA_TIMEOUT_S": "0.2", "TERM": "dumb", "COLUMNS": "120"}
COMMANDS = (
    "up",
    "worker",
    "demo",
    "produce",
    "ingest",
    "tail",
    "topology",
    "topics",
    "models",
    "settings",
    "schemas",
    "dead-letters",
    "replay",
)


def forgestream(*arguments: str, given: str | bytes | None = None, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(commands(), arguments, input=given, env={**NOBODY, **(env or {})})


def test_help_names_every_command_and_the_first_steps() -> None:
    shown = forgestream("--help")

    assert shown.exit_code == 0
    assert all(command in shown.output for command in COMMANDS)
    assert "forgestream up" in shown.output
    assert "Exit codes" in shown.output


@pytest.mark.parametrize(
    "command",
    [[c] for c in COMMANDS]
    + [["dead-letters", c] for c in ("list", "show", "redrive", "export")]
    + [["replay", c] for c in ("list", "report", "drop")]
    + [["models", "try"]],
)
def test_every_command_teaches_by_example(command: Sequence[str]) -> None:
    shown = forgestream(*command, "--help")

    assert shown.exit_code == 0
    assert "Examples" in shown.output
    assert f"forgestream {command[0]}" in shown.output


@pytest.mark.parametrize("arguments", [["nonsense"], ["tail"], ["produce"], ["tail", "texts", "--count", "0"]])
def test_wrong_usage_is_exit_code_2(arguments: Sequence[str]) -> None:
    assert forgestream(*arguments).exit_code == 2


def test_all_problems_of_the_settings_are_listed_without_a_traceback() -> None:
    wrong = {"FORGESTREAM_KAFKA_PARTITIONS": "none", "FORGESTREAM_RANK_ALPHA": "7", "FORGESTREAM_COLOUR": "blue"}

    shown = forgestream("settings", env=wrong)

    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert all(name in shown.stderr for name in wrong)
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["topics"],
        ["tail", "results"],
        ["produce", "texts", "--query", "why?"],
        ["dead-letters", "list"],
        ["replay", "--from", "2026-11-01"],
        ["replay", "list"],
        ["dead-letters", "redrive", "--all"],
    ],
)
def test_an_unreachable_broker_is_one_sentence(arguments: Sequence[str]) -> None:
    shown = forgestream(*arguments)

    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert len(shown.stderr.strip().splitlines()) == 1
    assert "127.0.0.1:1" in shown.stderr


def test_no_broker_configured_says_what_to_set() -> None:
    shown = forgestream("topics", env={"FORGESTREAM_KAFKA": ""})

    assert shown.exit_code == 2
    assert "FORGESTREAM_KAFKA is empty" in shown.stderr


def test_a_topic_that_does_not_exist_is_wrong_usage_and_the_others_are_named() -> None:
    shown = forgestream("tail", "answer")

    assert shown.exit_code == 2
    assert "answers" in shown.stderr


def test_lines_that_are_no_records_are_all_named_before_anything_is_sent() -> None:
    shown = forgestream("produce", "texts", given=b'{"query": 5}\n\xff\n{"query": "fine"}\n')

    assert shown.exit_code == 2
    assert "line 1: query must be text, not 5" in shown.stderr
    assert "line 2" in shown.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["produce", "knowledge", "--query", "why?"],
        ["produce", "texts", "--delete", "key"],
        ["produce", "dead-letters"],
        ["dead-letters", "redrive"],
        ["dead-letters", "redrive", "nonsense"],
        ["dead-letters", "show", "1@"],
        ["dead-letters", "show", "1@" + "9" * 40],
        ["dead-letters", "list", "--limit", "0"],
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: Sequence[str]) -> None:
    assert forgestream(*arguments).exit_code == 2


def test_settings_as_json_has_every_setting_and_no_secret() -> None:
    shown = forgestream("settings", "--json", env={"FORGESTREAM_KAFKA_SASL_PASSWORD": "hunter2"})

    rows = {row["name"]: row for row in json.loads(shown.stdout)}
    assert set(rows) == {row.name for row in reference(Settings())}
    assert rows["FORGESTREAM_KAFKA_SASL_PASSWORD"]["value"] == "***"
    assert "hunter2" not in forgestream("settings", env={"FORGESTREAM_KAFKA_SASL_PASSWORD": "hunter2"}).stdout


def test_settings_as_a_table_shows_values_and_reasons() -> None:
    shown = forgestream("settings", env={"FORGESTREAM_ENGINE_LINGER_MS": "9"})

    assert "9.0 (default 0.0)" in shown.stdout
    assert "static membership" in shown.stdout


def test_the_settings_page_is_current() -> None:
    """docs/settings.md is the output of `forgestream settings --markdown`, whatever the environment says."""
    page = (Path(__file__).parents[3] / "docs" / "settings.md").read_text(encoding="utf-8")

    assert page == markdown() == forgestream("settings", "--markdown", env={"FORGESTREAM_KAFKA": "elsewhere"}).stdout


def test_schemas_lists_records_with_their_topics_and_ids() -> None:
    rows = {row["record"]: row for row in json.loads(forgestream("schemas", "--json").stdout)}

    assert rows["TextQuery"]["topics"] == ["texts"]
    assert rows["TextQuery"]["versions"]["1"] == 1


def test_a_schema_can_be_taken_away() -> None:
    schema = json.loads(forgestream("schemas", "TextQuery").stdout)

    assert schema["name"] == "TextQuery"
    assert forgestream("schemas", "Nothing").exit_code == 1


def test_models_lists_windows_prices_and_what_is_missing() -> None:
    keys = {"FORGESTREAM_ROUTE_ANTHROPIC_KEYS": "sk-hunter2,sk-hunter3", "FORGESTREAM_ROUTE_MODELS": "extractive"}
    rows = {row["name"]: row for row in json.loads(forgestream("models", "--json", env=keys).stdout)}
    table = forgestream("models", env=keys)

    assert rows["extractive"]["place"] == 1
    assert (rows["claude-opus-5-5"]["keys"], rows["claude-opus-5-5"]["problem"]) == (2, "")
    assert rows["claude-opus-5-5"]["usd_per_million_out"] == 20.0
    assert "FORGESTREAM_ROUTE_OPENAI_KEYS is empty" in rows["gpt-6-luna"]["problem"]
    assert "1,000,000" in table.stdout
    assert "hunter" not in table.stdout + json.dumps(rows)


def test_a_model_can_be_tried_without_a_broker() -> None:
    asked = ("models", "try", "extractive", "How long is the Danube?", "--context", "The Danube is 2,850 km long.")

    assert forgestream(*asked).stdout == "The Danube is 2,850 km long.\n"
    trial = json.loads(forgestream(*asked, "--json").stdout)
    assert trial["text"] == "The Danube is 2,850 km long."
    assert (trial["finish_reason"], trial["cost_usd"]) == ("stop", 0.0)
    assert trial["input_tokens"] > 0


@pytest.mark.parametrize(
    ("name", "said"),
    [("gpt-17", "unknown"), ("claude-opus-5-5", "FORGESTREAM_ROUTE_ANTHROPIC_KEYS is empty")],
)
def test_a_model_that_cannot_be_tried_is_told_why(name: str, said: str) -> None:
    shown = forgestream("models", "try", name, "Why?")

    assert shown.exit_code == 2
    assert said in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_server_that_does_not_answer_is_one_sentence() -> None:
    shown = forgestream("models", "try", "ollama:m", "Why?", env={"FORGESTREAM_ROUTE_OLLAMA_URL": "http://127.0.0.1:9"})

    assert shown.exit_code == 1
    assert "the connection failed" in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 1


def test_ingest_reads_and_checks_without_a_broker_and_names_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "whale.md").write_text("# The Whale\n\nWhite.", encoding="utf-8")
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    (tmp_path / "odd.bin").write_bytes(b"\x00\xff")

    shown = forgestream("ingest", str(tmp_path), str(tmp_path / "odd.bin"), "--dry-run")

    assert shown.exit_code == 1
    assert "The Whale" in shown.stdout
    assert "empty.txt is empty" in shown.stderr
    assert "odd.bin is not text in UTF-8; convert it" in shown.stderr
    assert "1 of 3 documents read, nothing was sent" in shown.stderr


def test_ingest_reads_standard_input_and_prints_json() -> None:
    shown = forgestream("ingest", "-", "--id", "d-1", "--title", "Two words", "--dry-run", "--json", given="Some text.")

    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == {
        "document_id": "d-1",
        "title": "Two words",
        "source": "-",
        "characters": 10,
        "deleted": False,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["-"],
        ["-", "x.md", "--id", "d"],
        ["no-such-file.md"],
        ["tests", "--id", "d"],
        ["x", "--type", "text/rtf"],
        ["x", "--domain", "cooking"],
    ],
)
def test_ingest_used_wrongly_is_exit_code_2(
    arguments: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    for name in ("a.md", "b.md"):
        (tmp_path / "tests" / name).write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert forgestream("ingest", *arguments).exit_code == 2
