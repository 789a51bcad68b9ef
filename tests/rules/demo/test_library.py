"""The library that ships with the demo."""

from collections import Counter

from schemas.records import Domain
from tests.rules.demo.samples import NOW
from topology.demo import library
from topology.demo.questions import SCRIPT, Ending

DOCUMENTS = library.documents(NOW)


def test_the_library_has_at_least_a_dozen_short_passages_in_each_domain() -> None:
    counted = Counter(document.domain for document in DOCUMENTS)

    assert all(counted[domain] >= 12 for domain in Domain)
    assert all(document.title and 80 < len(document.text) < 600 for document in DOCUMENTS)


def test_every_document_has_an_id_of_its_own() -> None:
    assert len({document.document_id for document in DOCUMENTS}) == len(DOCUMENTS)


def test_every_document_is_the_answer_to_a_labelled_question() -> None:
    labels = {labelled.document_id for labelled in library.labelled()}

    assert labels == {document.document_id for document in DOCUMENTS}


def test_no_labelled_question_repeats_the_title_of_its_document_alone() -> None:
    """Retrieval must not be measured with questions that are mere headings."""
    titles = {document.title.casefold() for document in DOCUMENTS}

    assert all(labelled.question.casefold().strip("?") not in titles for labelled in library.labelled())


def test_every_answerable_question_of_the_script_has_its_document_in_the_library() -> None:
    known = {document.document_id: document for document in DOCUMENTS}

    for question in SCRIPT:
        if question.ending is Ending.ANSWERED:
            assert question.document_id in known
            assert known[question.document_id].domain.value == question.domain
