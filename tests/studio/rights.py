"""What each route of the studio takes of a member, in plain data: who may, what is sent, and the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from outdial.studio.web.context import MemberRole

API: Final = "/api/v1/organizations/{organization_id}"
PAGE: Final = "/o/{organization_id}"
CAMPAIGN: Final = {"name": "Autumn", "retell_agent_id": "agent_1", "from_number": "+12125550000"}
CAMPAIGN_FORM: Final = CAMPAIGN | {
    "batch_size": "10",
    "priority": "5",
    "share": "1",
    "max_attempts": "3",
    "monday_from": "09:00",
    "monday_to": "17:00",
}
RULE: Final = {"jurisdiction": "ES", "purpose": "any", "source": "Counsel", "confidence": "s"}
RULE_FORM: Final = RULE | {"purpose": "sales"}
PHONES: Final = b"phone\n+12127009901\n"
FILE: Final = {"file": ("people.csv", PHONES, "text/csv")}
CONSENT: Final = {"basis": "written", "source": "form", "given_at": "2026-03-01T09:00:00Z"}
SCREENING: Final = {"kind": "litigator", "registry_date": "2026-03-10"}
# A user of no organization: studio_world.py.
NEWCOMER: Final = {"email": "newcomer@example.com", "role": "viewer"}
HOOK: Final = {"url": "https://hook.example.com/calls", "secret": "0123456789abcdef"}
HOOK_FORM: Final = {"url": HOOK["url"], "hook_secret": HOOK["secret"]}
NUMBER: Final = {"phone": "+12125550177"}
SUBJECT: Final = {"phone": "+12127009903"}
DRAFT: Final = {"campaign_id": "draft"}
PAUSED: Final = {"campaign_id": "paused"}
IN_REVIEW: Final = PAUSED | {"campaign_contact_id": "in_review"}
PENDING: Final = PAUSED | {"campaign_contact_id": "pending"}
FAILED: Final = PAUSED | {"campaign_contact_id": "failed"}
BULK: Final = {"campaign_id": "of_bulk_job"}
SKIP: Final = {"action": "skip", "reason": "wrong list"}


@dataclass(frozen=True, slots=True)
class Rule:
    """Whoever has at least the role `needs` is answered with `answers`; those with less get 403.

    `sends` is a JSON body in the API, and the fields of a form on a page; `files` are uploaded, `content` is a body of
    CSV, and `query` goes into the URL. `uses` names rows of the organization for the parameters of the path, where they
    are not the usual ones.
    """

    needs: MemberRole
    answers: int = 200
    sends: Mapping[str, Any] | None = None
    content: bytes | None = None
    files: Mapping[str, tuple[str, bytes, str]] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    uses: Mapping[str, str] = field(default_factory=dict)


RULES: Final[Mapping[str, Rule]] = {
    f"GET {API}/calls": Rule("viewer"),
    f"GET {API}/callbacks": Rule("viewer"),
    f"GET {API}/callbacks/requests": Rule("viewer"),
    f"PATCH {API}/callbacks/{{campaign_contact_id}}": Rule("operator", 409, sends={"time": "in 2 hours"}),
    f"GET {API}/pre-dial-hook": Rule("viewer"),
    f"GET {API}/budgets": Rule("viewer"),
    f"PUT {API}/budgets": Rule("admin", sends={"day_cents": 5000, "time_zone": "America/New_York"}),
    f"GET {API}/budgets/unknown-costs": Rule("viewer"),
    f"GET {PAGE}/settings/budgets": Rule("viewer"),
    f"POST {PAGE}/settings/budgets": Rule("admin", 303, sends={"day": "50.00", "month": "", "time_zone": "UTC"}),
    f"GET {API}/stop": Rule("viewer"),
    f"POST {API}/stop": Rule("operator", sends={"reason": "wrong prompt"}),
    f"POST {API}/resume": Rule("operator", sends={}),
    f"GET {PAGE}/stop": Rule("viewer"),
    f"POST {PAGE}/stop": Rule("operator", 303, sends={"reason": "wrong prompt"}),
    f"POST {PAGE}/stop/resume": Rule("operator", 303, sends={}),
    f"PUT {API}/pre-dial-hook": Rule("admin", sends=HOOK),
    f"DELETE {API}/pre-dial-hook": Rule("admin", 204),
    f"GET {API}/calls/{{call_id}}": Rule("viewer"),
    f"POST {API}/calls/{{call_id}}/hang-up": Rule("operator", 409, sends={"reason": "wrong person"}),
    f"GET {PAGE}/calls/{{call_id}}/hang-up": Rule("operator"),
    f"POST {PAGE}/calls/{{call_id}}/hang-up": Rule("operator", 409),
    f"GET {API}/calls/{{call_id}}/events": Rule("viewer"),
    f"GET {API}/campaigns": Rule("viewer"),
    f"POST {API}/campaigns": Rule("operator", 201, sends=CAMPAIGN),
    f"POST {API}/campaigns/effective-hours": Rule("viewer", sends={"purpose": "survey"}),
    f"GET {API}/campaigns/{{campaign_id}}": Rule("viewer"),
    f"PATCH {API}/campaigns/{{campaign_id}}": Rule("operator", sends={"name": "Winter"}, uses=DRAFT),
    f"DELETE {API}/campaigns/{{campaign_id}}": Rule("operator", 204, uses=DRAFT),
    f"POST {API}/campaigns/{{campaign_id}}/archive": Rule("operator", uses=DRAFT),
    f"POST {API}/campaigns/{{campaign_id}}/unarchive": Rule("operator", uses=DRAFT),
    f"POST {API}/campaigns/{{campaign_id}}/duplicate": Rule("operator", 201, sends={"name": "Winter"}),
    f"GET {API}/campaigns/{{campaign_id}}/charts": Rule("viewer"),
    f"GET {API}/campaigns/{{campaign_id}}/launch-report": Rule("viewer"),
    f"GET {API}/campaigns/{{campaign_id}}/launch-check": Rule("viewer"),
    f"POST {API}/campaigns/{{campaign_id}}/launch-check": Rule("operator", 202),
    f"GET {API}/campaigns/{{campaign_id}}/test-calls": Rule("viewer"),
    f"GET {API}/campaigns/{{campaign_id}}/test-calls/{{test_call_id}}": Rule("viewer"),
    f"POST {API}/campaigns/{{campaign_id}}/test-calls": Rule("operator", 202, sends={"to": "+14155550142"}),
    f"GET {API}/forecasts": Rule("viewer"),
    f"GET {API}/campaigns/{{campaign_id}}/forecasts": Rule("viewer"),
    f"POST {API}/campaigns/{{campaign_id}}/forecasts": Rule("operator", 201),
    f"GET {API}/campaigns/{{campaign_id}}/contacts": Rule("viewer"),
    f"GET {API}/campaigns/{{campaign_id}}/contacts/{{campaign_contact_id}}": Rule("viewer"),
    f"POST {API}/campaigns/{{campaign_id}}/new-campaign": Rule("operator", 409, sends={"external_id": "nobody"}),
    f"GET {API}/campaigns/{{campaign_id}}/bulk-jobs": Rule("viewer"),
    f"POST {API}/campaigns/{{campaign_id}}/bulk-jobs": Rule("operator", 201, sends=SKIP, uses=PAUSED),
    f"GET {API}/campaigns/{{campaign_id}}/bulk-jobs/{{bulk_job_id}}": Rule("viewer", uses=BULK),
    f"GET {API}/campaigns/{{campaign_id}}/bulk-jobs/{{bulk_job_id}}/left-out": Rule("viewer", uses=BULK),
    f"POST {API}/campaigns/{{campaign_id}}/bulk-jobs/{{bulk_job_id}}/cancel": Rule("operator", uses=BULK),
    f"GET {PAGE}/campaigns/{{campaign_id}}/bulk-jobs": Rule("viewer"),
    f"POST {PAGE}/campaigns/{{campaign_id}}/bulk-jobs": Rule("operator", 303, sends=SKIP, uses=PAUSED),
    f"GET {PAGE}/campaigns/{{campaign_id}}/bulk-jobs/{{bulk_job_id}}": Rule("viewer", uses=BULK),
    f"POST {PAGE}/campaigns/{{campaign_id}}/bulk-jobs/{{bulk_job_id}}/cancel": Rule("operator", 303, uses=BULK),
    f"POST {API}/campaigns/{{campaign_id}}/contacts/{{campaign_contact_id}}/decision": Rule(
        "operator", sends={"decision": "call_again"}, uses=IN_REVIEW
    ),
    f"POST {API}/campaigns/{{campaign_id}}/contacts": Rule("operator", sends={"contacts": [{"phone": "+12127009944"}]}),
    f"PATCH {API}/campaigns/{{campaign_id}}/contacts/{{campaign_contact_id}}": Rule(
        "operator", sends={"priority": 9}, uses=PENDING
    ),
    f"DELETE {API}/campaigns/{{campaign_id}}/contacts/{{campaign_contact_id}}": Rule("operator", uses=PENDING),
    f"POST {API}/campaigns/{{campaign_id}}/contacts/{{campaign_contact_id}}/retry": Rule("operator", uses=FAILED),
    f"GET {API}/campaigns/{{campaign_id}}/progress": Rule("viewer"),
    f"POST {API}/campaigns/{{campaign_id}}/start": Rule("operator", uses=DRAFT),
    f"POST {API}/campaigns/{{campaign_id}}/pause": Rule("operator"),
    f"POST {API}/campaigns/{{campaign_id}}/close": Rule("operator"),
    f"POST {API}/campaigns/{{campaign_id}}/resume": Rule("operator", uses=PAUSED),
    f"POST {API}/campaigns/{{campaign_id}}/cancel": Rule("operator", sends={"hang_up": True}),
    f"POST {API}/campaigns/{{campaign_id}}/process-batch": Rule("operator", sends={"batch_size": 2}),
    f"GET {API}/contacts": Rule("viewer"),
    f"GET {API}/contacts/{{contact_id}}": Rule("viewer"),
    f"PATCH {API}/contacts/{{contact_id}}": Rule("operator", sends={"name": "Grace"}),
    f"GET {API}/contacts/{{contact_id}}/consents": Rule("viewer"),
    f"POST {API}/contacts/{{contact_id}}/consents": Rule("operator", sends=CONSENT),
    f"POST {API}/contacts/{{contact_id}}/consents/{{consent_id}}/revoke": Rule("operator", sends={"reason": "asked"}),
    f"GET {API}/screening-lists": Rule("viewer"),
    f"POST {API}/screening-lists": Rule("operator", content=PHONES, query=SCREENING),
    f"DELETE {API}/screening-lists/{{list_id}}": Rule("admin", 204),
    f"GET {API}/do-not-call": Rule("viewer"),
    f"GET {API}/do-not-call/retell": Rule("viewer"),
    f"POST {API}/do-not-call": Rule("operator", sends={"numbers": ["+12127009902"]}),
    f"POST {API}/do-not-call/import": Rule("operator", content=PHONES),
    f"POST {API}/do-not-call/remove": Rule("admin", sends={"numbers": ["+12127009902"]}),
    f"GET {API}/rules": Rule("viewer"),
    f"POST {API}/rules": Rule("admin", 201, sends=RULE),
    f"GET {API}/rules/overview": Rule("viewer"),
    f"GET {API}/rules/{{rule_id}}": Rule("viewer"),
    f"POST {API}/rules/{{rule_id}}/switch": Rule("admin", 204, sends={"is_off": True, "reason": "Advice"}),
    f"GET {API}/exports": Rule("viewer"),
    f"POST {API}/exports": Rule("operator", 201, sends={"kind": "contacts"}),
    f"GET {API}/exports/{{export_id}}": Rule("viewer"),
    f"POST {API}/exports/{{export_id}}/cancel": Rule("operator"),
    f"GET {API}/exports/{{export_id}}/file": Rule("viewer", uses={"export_id": "completed"}),
    f"GET {API}/imports": Rule("viewer"),
    f"POST {API}/imports": Rule("operator", 201, sends={"campaign_id": "{campaign_id}", "file_name": "people.csv"}),
    f"GET {API}/imports/{{import_id}}": Rule("viewer"),
    f"PUT {API}/imports/{{import_id}}/file": Rule("operator", content=PHONES),
    f"POST {API}/imports/{{import_id}}/preview": Rule("operator"),
    f"POST {API}/imports/{{import_id}}/start": Rule("operator"),
    f"POST {API}/imports/{{import_id}}/cancel": Rule("operator"),
    f"POST {API}/imports/{{import_id}}/undo": Rule("operator", uses={"import_id": "finished"}),
    f"GET {API}/imports/{{import_id}}/refusals": Rule("viewer"),
    f"GET {API}/imports/{{import_id}}/refusals.csv": Rule("viewer"),
    f"GET {API}": Rule("viewer"),
    f"PATCH {API}": Rule("admin", sends={"daily_call_cap": 2}),
    f"GET {API}/accounts": Rule("viewer"),
    f"PATCH {API}/accounts/{{account_id}}": Rule("admin", sends={"reserved_inbound": 1}),
    f"GET {API}/numbers": Rule("viewer"),
    f"POST {API}/numbers": Rule("admin", 201, sends=NUMBER),
    f"PATCH {API}/numbers/{{number_id}}": Rule("admin", sends={"nickname": "Sales"}),
    f"DELETE {API}/numbers/{{number_id}}": Rule("admin", 204),
    f"GET {API}/agents": Rule("viewer"),
    f"GET {API}/numbers/health": Rule("viewer"),
    f"PUT {API}/numbers/{{number_id}}/limits": Rule("admin", sends={"daily_cap": 100, "warm_up_days": 14}),
    f"POST {API}/numbers/rest": Rule("operator", sends={"phone": "{number_phone}"}),
    f"POST {API}/numbers/wake": Rule("operator", sends={"phone": "{resting}"}),
    f"GET {API}/numbers/imports": Rule("viewer"),
    f"POST {API}/numbers/imports": Rule("admin", 202),
    f"GET {API}/functions": Rule("owner"),
    f"GET {API}/functions/log": Rule("owner"),
    f"GET {API}/functions/{{slug}}/stats": Rule("owner"),
    f"GET {API}/functions/{{slug}}/versions": Rule("owner"),
    f"POST {API}/functions/{{slug}}/rollback": Rule("owner", 503),
    f"GET {API}/audit": Rule("viewer"),
    f"GET {API}/inbox": Rule("viewer"),
    f"GET {API}/inbox/odd": Rule("viewer"),
    f"GET {API}/inbox/{{event_id}}": Rule("viewer"),
    f"POST {API}/inbox/replay": Rule("operator", sends={"status": "applied"}),
    f"GET {API}/members": Rule("viewer"),
    f"GET {API}/invitations": Rule("admin"),
    f"POST {API}/invitations": Rule("admin", 201, sends=NEWCOMER),
    f"DELETE {API}/invitations/{{email}}": Rule("admin", 204),
    f"POST {API}/invitations/{{email}}/resend": Rule("admin"),
    # The studio of this test has a project's Auth, which resets passwords itself.
    f"POST {API}/members/{{user_id}}/password-reset": Rule("admin", 409),
    f"POST {PAGE}/members/{{user_id}}/password-reset": Rule("admin", 409),
    f"PATCH {API}/members/{{user_id}}": Rule("admin", sends={"role": "operator"}),
    f"DELETE {API}/members/{{user_id}}": Rule("admin", 204),
    f"GET {API}/analytics": Rule("viewer"),
    f"GET {API}/reports": Rule("viewer"),
    f"GET {API}/retention": Rule("viewer"),
    f"PATCH {API}/retention": Rule("admin", sends={"event_days": 30}),
    f"GET {API}/erasures": Rule("viewer"),
    f"POST {API}/erasures": Rule("admin", 201, sends=SUBJECT),
    f"GET {API}/erasures/{{erasure_id}}": Rule("viewer"),
    f"POST {API}/subject-export": Rule("admin", sends=SUBJECT),
    f"GET {PAGE}": Rule("viewer", 303),
    f"GET {PAGE}/calls": Rule("viewer"),
    f"GET {PAGE}/callbacks": Rule("viewer"),
    f"GET {PAGE}/search": Rule("viewer"),
    f"POST {PAGE}/callbacks/{{campaign_contact_id}}": Rule("operator", 409, sends={"time": "in 2 hours"}),
    f"GET {PAGE}/calls/{{call_id}}": Rule("viewer"),
    f"GET {PAGE}/campaigns": Rule("viewer"),
    f"POST {PAGE}/campaigns": Rule("operator", 303, sends=CAMPAIGN_FORM),
    f"GET {PAGE}/campaigns/new": Rule("operator"),
    f"POST {PAGE}/campaigns/effective-hours": Rule("operator", sends=CAMPAIGN_FORM),
    f"GET {PAGE}/campaigns/{{campaign_id}}": Rule("viewer"),
    f"GET {PAGE}/campaigns/{{campaign_id}}/contacts": Rule("viewer"),
    f"GET {PAGE}/campaigns/{{campaign_id}}/calls": Rule("viewer"),
    f"GET {PAGE}/campaigns/{{campaign_id}}/callbacks": Rule("viewer"),
    f"GET {PAGE}/campaigns/{{campaign_id}}/settings": Rule("viewer"),
    f"GET {PAGE}/campaigns/{{campaign_id}}/activity": Rule("viewer"),
    f"POST {PAGE}/campaigns/{{campaign_id}}/contacts": Rule("operator", 303, sends={"phone": "+12127009945"}),
    f"POST {PAGE}/campaigns/{{campaign_id}}/contacts/{{campaign_contact_id}}/change": Rule(
        "operator", 303, sends={"priority": "9"}, uses=PENDING
    ),
    f"POST {PAGE}/campaigns/{{campaign_id}}/contacts/{{campaign_contact_id}}/skip": Rule("operator", 303, uses=PENDING),
    f"POST {PAGE}/campaigns/{{campaign_id}}/contacts/{{campaign_contact_id}}/retry": Rule("operator", 303, uses=FAILED),
    f"GET {PAGE}/campaigns/{{campaign_id}}/launch-report": Rule("viewer"),
    f"GET {PAGE}/campaigns/{{campaign_id}}/launch-check": Rule("viewer"),
    f"POST {PAGE}/campaigns/{{campaign_id}}/launch-check": Rule("operator", 303),
    f"POST {PAGE}/campaigns/{{campaign_id}}/launch-check/forecast": Rule("operator", 303),
    f"POST {PAGE}/campaigns/{{campaign_id}}/test-calls": Rule("operator", 303, sends={"to": "+14155550142"}),
    f"GET {PAGE}/campaigns/{{campaign_id}}/forecasts": Rule("viewer"),
    f"POST {PAGE}/campaigns/{{campaign_id}}/forecasts": Rule("operator", 303),
    f"GET {PAGE}/campaigns/{{campaign_id}}/contacts/{{campaign_contact_id}}": Rule("viewer"),
    f"POST {PAGE}/campaigns/{{campaign_id}}/contacts/{{campaign_contact_id}}/decision": Rule(
        "operator", 303, sends={"decision": "never_call"}, uses=IN_REVIEW
    ),
    f"GET {PAGE}/campaigns/{{campaign_id}}/edit": Rule("operator", uses=DRAFT),
    f"POST {PAGE}/campaigns/{{campaign_id}}/edit": Rule("operator", 303, sends=CAMPAIGN_FORM, uses=DRAFT),
    f"POST {PAGE}/campaigns/{{campaign_id}}/delete": Rule("operator", 303, uses=DRAFT),
    f"POST {PAGE}/campaigns/{{campaign_id}}/archive": Rule("operator", 303, uses=DRAFT),
    f"POST {PAGE}/campaigns/{{campaign_id}}/unarchive": Rule("operator", 303, uses=DRAFT),
    f"POST {PAGE}/campaigns/{{campaign_id}}/duplicate": Rule("operator", 303),
    f"POST {PAGE}/campaigns/{{campaign_id}}/start": Rule("operator", 303, uses=DRAFT),
    f"POST {PAGE}/campaigns/{{campaign_id}}/pause": Rule("operator", 303),
    f"POST {PAGE}/campaigns/{{campaign_id}}/close": Rule("operator", 303),
    f"POST {PAGE}/campaigns/{{campaign_id}}/resume": Rule("operator", 303, uses=PAUSED),
    f"POST {PAGE}/campaigns/{{campaign_id}}/cancel": Rule("operator", 303, sends={"hang_up": "true"}),
    f"POST {PAGE}/campaigns/{{campaign_id}}/process-batch": Rule("operator", 303),
    f"GET {PAGE}/campaigns/{{campaign_id}}/import": Rule("viewer"),
    f"GET {PAGE}/contacts": Rule("viewer"),
    f"GET {PAGE}/contacts/{{contact_id}}": Rule("viewer"),
    f"POST {PAGE}/contacts/{{contact_id}}": Rule("operator", 303, sends={"name": "Grace"}),
    f"POST {PAGE}/contacts/{{contact_id}}/consents": Rule(
        "operator", 303, sends={"basis": "written", "source": "form", "given_at": "2026-03-01"}
    ),
    f"POST {PAGE}/contacts/{{contact_id}}/consents/{{consent_id}}/revoke": Rule("operator", 303),
    f"GET {PAGE}/screening": Rule("viewer"),
    f"POST {PAGE}/screening": Rule("operator", 303, sends=SCREENING, files=FILE),
    f"POST {PAGE}/screening/{{list_id}}/remove": Rule("admin", 303),
    f"GET {PAGE}/do-not-call": Rule("viewer"),
    f"POST {PAGE}/do-not-call": Rule("operator", 303, sends={"numbers": "+12127009902"}),
    f"POST {PAGE}/do-not-call/import": Rule("operator", 303, files=FILE),
    f"POST {PAGE}/do-not-call/remove": Rule("admin", 303, sends={"phone": "+12127009902"}),
    f"GET {PAGE}/rules": Rule("viewer"),
    f"GET {PAGE}/rules/new": Rule("admin"),
    f"POST {PAGE}/rules": Rule("admin", 303, sends=RULE_FORM),
    f"GET {PAGE}/rules/{{rule_id}}": Rule("viewer"),
    f"POST {PAGE}/rules/{{rule_id}}/switch": Rule("admin", 303, sends={"is_off": "true", "reason": "Advice"}),
    f"POST {PAGE}/exports": Rule("operator", 303, sends={"kind": "contacts"}),
    f"POST {PAGE}/exports/{{export_id}}/cancel": Rule("operator", 303),
    f"GET {PAGE}/exports/{{export_id}}/file": Rule("viewer", uses={"export_id": "completed"}),
    f"POST {PAGE}/imports": Rule("operator", 303, sends={"campaign_id": "{campaign_id}"}, files=FILE),
    f"GET {PAGE}/imports/{{import_id}}": Rule("viewer"),
    f"POST {PAGE}/imports/{{import_id}}/cancel": Rule("operator", 303),
    f"POST {PAGE}/imports/{{import_id}}/undo": Rule("operator", 303, uses={"import_id": "finished"}),
    f"GET {PAGE}/imports/{{import_id}}/refusals.csv": Rule("viewer"),
    f"POST {PAGE}/imports/{{import_id}}/start": Rule("operator", 303),
    f"GET {PAGE}/audit": Rule("viewer"),
    f"GET {PAGE}/functions": Rule("owner"),
    f"GET {PAGE}/functions/{{slug}}": Rule("owner"),
    f"POST {PAGE}/functions/{{slug}}/rollback": Rule("owner", 503),
    f"GET {PAGE}/inbox": Rule("viewer"),
    f"GET {PAGE}/inbox/{{event_id}}": Rule("viewer"),
    f"POST {PAGE}/inbox/replay": Rule("operator", 303, sends={"status": "applied"}),
    f"GET {PAGE}/members": Rule("viewer"),
    f"POST {PAGE}/members": Rule("admin", 303, sends=NEWCOMER),
    f"POST {PAGE}/invitations/resend": Rule("admin", 303, sends={"email": "{email}"}),
    f"POST {PAGE}/invitations/withdraw": Rule("admin", 303, sends={"email": "{email}"}),
    f"POST {PAGE}/members/{{user_id}}/remove": Rule("admin", 303),
    f"POST {PAGE}/members/{{user_id}}/role": Rule("admin", 303, sends={"role": "operator"}),
    f"GET {PAGE}/jobs": Rule("viewer"),
    f"GET {PAGE}/live": Rule("viewer"),
    f"GET {PAGE}/settings": Rule("viewer"),
    f"POST {PAGE}/settings": Rule("admin", 303, sends={"name": "Acme"}),
    f"POST {PAGE}/settings/accounts/{{account_id}}": Rule("admin", 303, sends={"reserved_inbound": "1"}),
    f"GET {PAGE}/settings/pre-dial-hook": Rule("viewer"),
    f"POST {PAGE}/settings/pre-dial-hook": Rule("admin", 303, sends=HOOK_FORM),
    f"POST {PAGE}/settings/pre-dial-hook/remove": Rule("admin", 303),
    f"POST {PAGE}/settings/numbers": Rule("admin", 303, sends=NUMBER),
    f"POST {PAGE}/settings/numbers/{{number_id}}/remove": Rule("admin", 303),
    f"GET {PAGE}/numbers": Rule("viewer"),
    f"POST {PAGE}/numbers/import": Rule("admin", 303),
    f"POST {PAGE}/numbers/rest": Rule("operator", 303, sends={"phone": "{number_phone}"}),
    f"POST {PAGE}/numbers/wake": Rule("operator", 303, sends={"phone": "{resting}"}),
    f"POST {PAGE}/numbers/{{number_id}}/limits": Rule("admin", 303, sends={"daily_cap": "100"}),
    f"GET {PAGE}/analytics": Rule("viewer"),
    f"GET {PAGE}/reports": Rule("viewer"),
    f"POST {API}/evidence": Rule("operator", sends={"kind": "call", "id": "{call_id}"}),
    f"GET {PAGE}/calls/{{call_id}}/evidence": Rule("operator"),
    f"POST {PAGE}/calls/{{call_id}}/evidence": Rule("operator"),
    f"GET {PAGE}/campaigns/{{campaign_id}}/evidence": Rule("operator"),
    f"POST {PAGE}/campaigns/{{campaign_id}}/evidence": Rule("operator"),
    f"GET {PAGE}/contacts/{{contact_id}}/evidence": Rule("operator"),
    f"POST {PAGE}/contacts/{{contact_id}}/evidence": Rule("operator"),
    f"GET {PAGE}/privacy": Rule("viewer"),
    f"POST {PAGE}/privacy": Rule("admin", 303, sends={"event_days": "30"}),
    f"POST {PAGE}/privacy/erase": Rule("admin", 303, sends=SUBJECT),
    f"POST {PAGE}/privacy/export": Rule("admin", sends=SUBJECT),
}
"""The routes of an organization. Functions belong to the whole environment, which on a local stack is its owners'; a
rollback is answered with 503, because no function host runs beside these tests."""

ELSEWHERE: Final[Mapping[str, Mapping[str, int]]] = {
    "GET /": {"nobody": 303, "outsider": 200, "viewer": 303},
    "GET /api/v1/docs": {"nobody": 200, "outsider": 200, "viewer": 200},
    "GET /api/v1/docs/schemas": {"nobody": 200, "outsider": 200, "viewer": 200},
    "GET /api/v1/openapi.json": {"nobody": 200, "outsider": 200, "viewer": 200},
    "GET /api/v1/me": {"nobody": 401, "outsider": 200, "viewer": 200},
    "GET /api/v1/organizations": {"nobody": 401, "outsider": 200, "viewer": 200},
    "GET /organizations": {"nobody": 303, "outsider": 200, "viewer": 200},
    # None of these users is invited, and the form has no CSRF token.
    "GET /api/v1/invitations": {"nobody": 401, "outsider": 200, "viewer": 200},
    "POST /api/v1/invitations/{organization_id}/accept": {"nobody": 401, "outsider": 404, "viewer": 404},
    "POST /api/v1/invitations/{organization_id}/decline": {"nobody": 401, "outsider": 404, "viewer": 404},
    "POST /invitations/{organization_id}/accept": {"nobody": 303, "outsider": 403, "viewer": 403},
    "POST /invitations/{organization_id}/decline": {"nobody": 303, "outsider": 403, "viewer": 403},
    # No link has this token.
    "GET /join/{token}": {"nobody": 404, "outsider": 404, "viewer": 404},
    "POST /join/{token}": {"nobody": 404, "outsider": 404, "viewer": 404},
    "POST /join/{token}/email": {"nobody": 404, "outsider": 404, "viewer": 404},
    "POST /join/{token}/accept": {"nobody": 303, "outsider": 403, "viewer": 403},
    "POST /join/{token}/decline": {"nobody": 303, "outsider": 403, "viewer": 403},
    "GET /sign-in/forgot": {"nobody": 200, "outsider": 200, "viewer": 200},
    "POST /sign-in/forgot": {"nobody": 403, "outsider": 403, "viewer": 403},
    "POST /sign-in/code": {"nobody": 303, "outsider": 303, "viewer": 303},
    "GET /reset-password/{token}": {"nobody": 404, "outsider": 404, "viewer": 404},
    "POST /reset-password/{token}": {"nobody": 404, "outsider": 404, "viewer": 404},
    # Without an Auth, and without a token in the form.
    "GET /account": {"nobody": 303, "outsider": 503, "viewer": 503},
    "POST /account/name": {"nobody": 303, "outsider": 403, "viewer": 403},
    "POST /account/password": {"nobody": 303, "outsider": 403, "viewer": 403},
    "POST /account/time-zone": {"nobody": 303, "outsider": 403, "viewer": 403},
    "POST /account/two-factor": {"nobody": 303, "outsider": 403, "viewer": 403},
    "POST /account/two-factor/verify": {"nobody": 303, "outsider": 403, "viewer": 403},
    "POST /account/two-factor/disable": {"nobody": 303, "outsider": 403, "viewer": 403},
    "POST /account/sessions/{session_id}/end": {"nobody": 303, "outsider": 403, "viewer": 403},
    "POST /account/sign-out-everywhere": {"nobody": 303, "outsider": 403, "viewer": 403},
    "GET /api/v1/me/sessions": {"nobody": 401, "outsider": 200, "viewer": 200},
    "DELETE /api/v1/me/sessions/{session_id}": {"nobody": 401, "outsider": 404, "viewer": 404},
    "GET /sign-in/continue": {"nobody": 303, "outsider": 303, "viewer": 303},
    "GET /health": {"nobody": 200, "outsider": 200, "viewer": 200},
    "GET /sign-in": {"nobody": 200, "outsider": 200, "viewer": 200},
    "POST /sign-in/form": {"nobody": 303, "outsider": 303, "viewer": 303},
    "POST /sign-in": {"nobody": 403, "outsider": 403, "viewer": 403},
    "POST /sign-out": {"nobody": 303},
    "GET /design": {"nobody": 303, "outsider": 200, "viewer": 200},
    "POST /theme": {"nobody": 303, "outsider": 403, "viewer": 403},
    "GET /static/{requested_version}/{name}": {"nobody": 200, "outsider": 200, "viewer": 200},
}
"""The routes of no organization: by who asks, the answer. A form of signing in counts by its own token alone."""
