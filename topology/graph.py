"""The architecture: one line per stage. Production, the in-memory driver and the diagram all run this function."""

from agents.admit import agent as admit
from agents.analyse import agent as analyse
from agents.compose import agent as compose
from agents.deliver import agent as deliver
from agents.embed import agent as embed
from agents.evaluate import agent as evaluate
from agents.index import agent as index
from agents.propose import agent as propose
from agents.publish import agent as publish
from agents.rank import agent as rank
from agents.rate import agent as rate
from agents.remember import agent as remember
from agents.repeat import agent as repeat
from agents.retrieve import agent as retrieve
from agents.route import agent as route
from agents.submit import agent as submit
from agents.synthesize import agent as synthesize
from agents.transcribe import agent as transcribe
from agents.watch import agent as watch
from streams.app import App
from streams.settings import Settings
from topology.outside import Outside
from topology.topics import Topics
from topology.units import Unit


# fmt: off
def attach_unit(unit: Unit, app: App, topics: Topics, outside: Outside, settings: Settings) -> None:
    """Attach the stages of `unit` to its app."""
    if unit is Unit.INTAKE:
        history = outside.history or remember.attach(app, reads=topics.requests, results=topics.results, commands=topics.commands,
                                                     clock=outside.clock, settings=settings.remember)
        admit.attach(app, reads=topics.texts, writes=topics.requests, duplicates=topics.duplicates, gate=outside.gate,
                     encoder=outside.encoder, attacks=outside.attacks, history=history, clock=outside.clock,
                     settings=settings.admit, screening=settings.screen)

    if unit is Unit.INFERENCE:
        embed.attach(app, reads=topics.requests, writes=topics.embeddings, encoder=outside.encoder)
        retrieve.attach(app, reads=topics.embeddings, writes=topics.contexts, results=topics.results, outcomes=topics.outcomes,
                        packs=outside.packs, pack_cache=outside.pack_cache, invalidations=outside.invalidations,
                        static_packs=outside.static_packs, store=outside.store, profiles=outside.profiles,
                        circuits=outside.circuits, clock=outside.clock, encoder=outside.encoder, attacks=outside.attacks,
                        settings=settings.retrieve, dataforge=settings.dataforge, screening=settings.screen)
        compose.attach(app, reads=topics.contexts, writes=topics.prompts, tokenizer=outside.tokenizer,
                       window_tokens=outside.window_tokens, settings=settings.compose)
        route.attach(app, reads=topics.prompts, writes=topics.answers, tokens=topics.tokens, decisions=topics.decisions,
                     outcomes=topics.outcomes, effects=topics.effects, speech_requests=topics.speech_requests, memory=outside.effects,
                     models=outside.models, answers=outside.answers, encoder=outside.encoder, champions=outside.champions,
                     circuits=outside.circuits, clock=outside.clock, settings=settings.route, caching=settings.cache,
                     speaking=settings.synthesize)
        evaluate.attach(app, reads=topics.answers, writes=topics.evaluations, verdicts=topics.verdicts, outcomes=topics.outcomes,
                        judges=outside.judges, circuits=outside.circuits, clock=outside.clock, settings=settings.evaluate)
        publish.attach(app, reads=topics.evaluations, results=topics.results, feedback=topics.feedback,
                       speech_requests=topics.speech_requests, clock=outside.clock,
                       proposals=topics.proposals if settings.proposes_answers else None)

    if unit is Unit.LEARNING:
        rank.attach(app, reads=topics.verdicts, commands=topics.commands, writes=topics.standings, circuits=outside.circuits,
                    settings=settings.rank)

    if unit is Unit.DELIVERY:
        index.attach(app, reads=topics.knowledge, invalidations=topics.invalidations, encoder=outside.encoder,
                     store=outside.store, clock=outside.clock, settings=settings.index)
        if outside.feedback_sink is not None:
            deliver.attach(app, reads=topics.feedback, outcomes=topics.outcomes, effects=topics.effects, memory=outside.effects,
                           sink=outside.feedback_sink, circuits=outside.circuits, clock=outside.clock, settings=settings.dataforge)
        rate.attach(app, reads=topics.ratings, writes=topics.feedback, results=outside.past, clock=outside.clock, settings=settings.rate,
                    max_deadline_s=settings.admit.max_deadline_s)
        propose.attach(app, reads=topics.proposals, writes=topics.sophia_proposals, analyst=outside.analyst,
                       encoder=outside.encoder, settings=settings.propose)
        if outside.proposal_sink is not None:
            submit.attach(app, reads=topics.sophia_proposals, outcomes=topics.outcomes, effects=topics.effects, memory=outside.effects,
                          sink=outside.proposal_sink, circuits=outside.circuits, clock=outside.clock, settings=settings.sophia)
        repeat.attach(app, reads=topics.duplicates, results=topics.results, requests=topics.requests, settings=settings.admit)
        # not beside rank: of the stages of one unit only one may read a topic, and both obey commands
        watch.attach(app, reads=topics.outcomes, commands=topics.commands, writes=topics.circuit_states, settings=settings.watch)

    if unit is Unit.VOICE:
        transcribe.attach(app, reads=topics.audio, texts=topics.texts, transcripts=topics.transcripts, proposals=topics.proposals,
                          results=topics.results, speech_requests=topics.speech_requests, decoder=outside.decoder,
                          recognizer=outside.recognizer, clock=outside.clock, settings=settings.transcribe)
        synthesize.attach(app, reads=topics.speech_requests, writes=topics.speech, outcomes=topics.outcomes, engines=outside.engines,
                          circuits=outside.circuits, clock=outside.clock, settings=settings.synthesize)
        # beside embed, which reads the same topic in another unit
        analyse.attach(app, reads=topics.requests, writes=topics.analyses, analyst=outside.analyst)
# fmt: on
