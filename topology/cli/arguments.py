"""Arguments that several commands take."""

from typing import Any

import typer

from streams.topic import Topic
from topology.topics import Topics


def topic_named(topics: Topics, name: str) -> Topic[Any]:
    """Return the topic of that name.

    Raises:
        typer.BadParameter: there is none; the message lists them all.
    """
    found = topics.named(name)
    if found is None:
        raise typer.BadParameter(f"there is no topic {name!r}; there are {', '.join(topic.name for topic in topics)}")
    return found
