"""A figure about calls has one name: in the API, on pages, in charts, on the command line and in the docs."""

import json
import re
from pathlib import Path

from outdial.cli import numbers
from outdial.domain.policies.number_pool import BY_PERSON
from outdial.studio.reports import analytics, service
from outdial.studio.view.call_labels import CALL_LABELS
from outdial.studio.view.decisions import REACHED

ROOT = Path(__file__).parents[2]
STUDIO = ROOT / "src/outdial/studio"


def test_every_share_of_the_api_has_a_label() -> None:
    contract = json.dumps(json.loads((ROOT / "tests/studio/api_contract.json").read_text()))
    shares = set(re.findall(r'"(\w+_(?:rate|share))": "number', contract))
    assert shares == {name for name in CALL_LABELS if name.endswith(("_rate", "_share"))}
    assert all(re.search(rf'"{name}": "', contract) for name in CALL_LABELS)


def test_pages_take_every_label_from_the_list() -> None:
    templates = {path.name: path.read_text() for path in STUDIO.glob("**/*.html")}
    written = [
        (name, label) for name, text in templates.items() for label in CALL_LABELS.values() if f">{label}<" in text
    ]
    assert written == []
    # A percentage of answered calls is never headed by a word for their number.
    for name in ("organization.html", "pool.html"):
        assert "call_labels.answer_rate" in templates[name]
        assert "call_labels.answered" not in templates[name]


def test_charts_the_command_line_and_the_docs_use_the_words_of_the_list() -> None:
    answered = CALL_LABELS["answered"]
    assert {service._SERIES["reached"].label, analytics._SERIES["reached"].label} == {answered}
    assert f'"{answered.upper()}": ' in Path(numbers.__file__).read_text()
    results = (ROOT / "docs/results.md").read_text()
    campaigns = re.sub(r"\s+", " ", (ROOT / "docs/campaigns.md").read_text())
    assert CALL_LABELS["answer_rate"].lower() in results
    assert all(CALL_LABELS[name].lower() in campaigns for name in ("answer_rate", "voicemail_share", "blocked_share"))


def test_reports_and_the_health_of_numbers_count_the_same_calls_as_answered() -> None:
    assert set(REACHED) == BY_PERSON
