"""The printable pages of evidence, and the downloads of the files."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.evidence.pack import EvidenceKind
from outdial.studio.contacts.service import phone_of_contact
from outdial.studio.evidence.api import evidence_response
from outdial.studio.evidence.service import (
    decision_sentences,
    evidence_page,
    rule_sentence,
    take_evidence,
)
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.forms import Form
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}")


@router.get("/calls/{call_id}/evidence")
async def call_evidence_page(request: Request, call_id: UUID, context: CurrentOrganization) -> HTMLResponse:
    """Show the evidence of a call."""
    return await _show(request, context, EvidenceKind.CALL, str(call_id))


@router.post("/calls/{call_id}/evidence")
async def download_call_evidence(call_id: UUID, context: CurrentOrganization, form: Form) -> Response:
    """Download the evidence of a call."""
    return evidence_response(await take_evidence(context, EvidenceKind.CALL, str(call_id)))


@router.get("/campaigns/{campaign_id}/evidence")
async def campaign_evidence_page(request: Request, campaign_id: UUID, context: CurrentOrganization) -> HTMLResponse:
    """Show the evidence of a campaign, for its first contacts."""
    return await _show(request, context, EvidenceKind.CAMPAIGN, str(campaign_id))


@router.post("/campaigns/{campaign_id}/evidence")
async def download_campaign_evidence(campaign_id: UUID, context: CurrentOrganization, form: Form) -> Response:
    """Download the evidence of a campaign, for all contacts."""
    return evidence_response(await take_evidence(context, EvidenceKind.CAMPAIGN, str(campaign_id)))


@router.get("/contacts/{contact_id}/evidence")
async def phone_evidence_page(request: Request, contact_id: UUID, context: CurrentOrganization) -> HTMLResponse:
    """Show the evidence of a contact's phone number."""
    context.require("operator")
    return await _show(request, context, EvidenceKind.PHONE, await _phone_of(context, contact_id))


@router.post("/contacts/{contact_id}/evidence")
async def download_phone_evidence(contact_id: UUID, context: CurrentOrganization, form: Form) -> Response:
    """Download the evidence of a contact's phone number."""
    context.require("operator")
    return evidence_response(await take_evidence(context, EvidenceKind.PHONE, await _phone_of(context, contact_id)))


async def _phone_of(context: OrganizationContext, contact_id: UUID) -> str:
    async with context.transaction() as connection:
        return await phone_of_contact(connection, context, contact_id)


async def _show(request: Request, context: OrganizationContext, kind: EvidenceKind, id: str) -> HTMLResponse:
    found = await evidence_page(context, await take_evidence(context, kind, id))
    return page(
        request,
        "evidence/show.html",
        context,
        url=request.url.path,
        contact_count=found.contact_count,
        decision_sentences=decision_sentences,
        rule_sentence=rule_sentence,
        **found.sections,
    )
