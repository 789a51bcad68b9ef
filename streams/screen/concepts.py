"""Words that mean much the same when somebody speaks to a model of its rules, so that a new wording of an old attack looks familiar."""

_WORDS = {
    "ignore": """
        ignore disregard forget skip drop discard overlook dismiss neglect omit override overrule bypass circumvent evade break violate
        disobey abandon cancel revoke delete erase wipe scrap remove lift suspend disable deactivate unlearn reject quit stop cease void
        null invalid withdraw withdrawn expired aside behind away cross unload lower relax bend waive throw leave rid unlock broken gone
        off loosen overboard obsolete outdated replace supersede
    """,
    "order": """
        instruction guideline directive order rule prompt policy policies command direction programming training configuration setup
        protocol guidance briefing law regulation principle
    """,
    "limit": """
        restriction limit filter safeguard guardrail constraint ethics ethical moral censorship safety moderation barrier check
        protection precaution warning disclaimer refusal inhibition conscience scruple boundary taboo alignment
    """,
    "before": "previous prior above earlier before initial original preceding first past beginning start top so far",
    "you": "you your yours yourself u ur",
    "me": "i me my mine we us our user",
    "told": "told given gave write wrote written instructed programmed taught said received primed assigned initialised initialized",
    "maker": """
        developer operator creator maker engineer company openai owner admin administrator root superuser ceo boss supervisor
        department team programmer vendor provider headquarters
    """,
    "show": """
        show print reveal output display repeat quote paste dump export copy share disclose leak expose tell list read recite echo spell
        transcribe summarise summarize translate type return reproduce
    """,
    "secret": "secret secretly hidden confidential internal private concealed forbidden locked silently quietly",
    "bot": "ai assistant model bot chatbot llm gpt machine robot agent chatgpt dan summariser summarizer copilot reader",
    "role": """
        pretend act play role roleplay character persona imagine become simulate behave impersonate speak embody mode personality
        identity twin ego voice mask
    """,
    "free": """
        free freed released unlimited unrestricted unfiltered uncensored jailbreak jailbroken rogue evil unbound liberated amoral
        lawless unhinged raw unlocked
    """,
    "no": "no not without never none zero nothing cannot nobody neither nor don doesn can't don't doesn't won't",
    "now": "now henceforth today onwards",
    "new": "new instead update updated reset restart",
    "allow": """
        allowed permitted may authorised authorized permission authority approve approved clearance cleared access granted authorise
        authorize allow permit exempt exception
    """,
    "all": "all any every everything anything whatever each",
    "send": "send post forward mail upload transfer call fetch run execute submit append",
    "place": "http https url link www curl",
    "goods": "password key token credential api email account card data record database",
    "must": "must shall should will have has need required obey follow comply serve agree listen",
    "refuse": "refuse decline object apologise apologize",
    "system": "system sys inst im_start im_end",
    "end": "end over stop finish",
    "harm": """
        bomb weapon gun explosive poison drug meth malware ransomware virus keylogger exploit phishing scam fraud forge fake counterfeit
        steal stolen rob hack hacker hacked crack brute bribe launder ransom stalk spy bug threaten threatening insult swear curse hateful
        racist propaganda rumour rumor murder kill burgle shoplift cheat lie pwned owned backdoor spam hijack blackmail smuggle traffick
    """,
    "only": "only just nothing solely exactly instead else verbatim",
    "reading": "reading reads processing processes summarising summarizing parsing reviewing grading",
}
_ENDINGS = ("s", "ed", "d", "ing", "es", "ting", "ning", "ped")
_CONCEPTS = {word: concept for concept, words in reversed(_WORDS.items()) for word in words.split()}


def concept_of(word: str) -> str | None:
    """Return the concept of a folded word, None for a word that has none."""
    found = _CONCEPTS.get(word)
    if found is None:
        bare = (word[: -len(ending)] for ending in _ENDINGS if word.endswith(ending))
        found = next((_CONCEPTS[stem] for stem in bare if stem in _CONCEPTS), None)
    return found
