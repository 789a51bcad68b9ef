"""The acts of the demo, in the order in which they are played. To add one: a module here, and its line in `ACTS`."""

from collections.abc import Sequence

from topology.demo.act import Act
from topology.demo.acts.attack import Attack
from topology.demo.acts.contest import Contest
from topology.demo.acts.delivery import Delivery
from topology.demo.acts.outage import Outage
from topology.demo.acts.pack import Pack
from topology.demo.acts.questions import Questions
from topology.demo.acts.voice import Voice

ACTS: Sequence[Act] = (Questions(), Attack(), Pack(), Contest(), Outage(), Delivery(), Voice())
