"""Gates of a call besides the rules: the consent that a campaign requires, and screening lists."""

from collections.abc import Collection, Sequence
from datetime import date

from outdial.domain.explaining.rule_explanation import Gate
from outdial.domain.permission.consent import Basis, covers, no_consent
from outdial.domain.permission.screening import (
    LIFTED_BY_CONSENT,
    ScreeningList,
    applied_kinds,
    missing_lists,
)
from outdial.domain.permission.screening import (
    listed_on as listed_on_text,
)
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent


def permission_gates(
    purpose: Purpose,
    *,
    consent_required: RequiredConsent,
    lists_required: Collection[ListKind],
    consent: str,
    listed_on: Sequence[ScreeningList],
    lists: Sequence[ScreeningList],
    jurisdictions: Collection[str],
    today: date,
) -> tuple[Gate, ...]:
    """Return the gates of consent and of lists. `consent` is the strongest one on record, empty for none.

    `listed_on` are those of `lists` that have the number; `jurisdictions` are where the contact may be.
    """
    gates = []
    if consent_required is not RequiredConsent.NONE:
        has_consent = covers(consent_required, consent)
        text = f"{consent} consent on record" if has_consent else no_consent(consent_required, purpose)
        gates.append(Gate(name="consent", is_open=has_consent, text=text))
    kinds = applied_kinds(purpose, lists_required)
    is_written = consent == Basis.WRITTEN
    found = [each for each in listed_on if each.kind in kinds and not (is_written and each.kind in LIFTED_BY_CONSENT)]
    text = "; ".join(listed_on_text(each.name, each.registry_date) for each in found) or "on no list that counts"
    gates.append(Gate(name="screening lists", is_open=not found, text=text))
    gates += [
        Gate(name=f"{missing.kind} list", is_open=False, text=missing.advice())
        for missing in missing_lists(lists_required, lists, jurisdictions, today)
    ]
    return tuple(gates)
