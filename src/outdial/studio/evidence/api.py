"""The API route for evidence packs."""

from typing import Annotated, Any, Final

from fastapi import Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from outdial.evidence.pack import EvidenceKind
from outdial.studio.evidence.service import TakenEvidence, take_evidence
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(tags=["evidence"])

_PACK_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}, "description": "An evidence pack"}
}


class EvidenceRequest(BaseModel):
    """What the pack is about: the id of a call or a campaign, or a phone number in E.164."""

    model_config = ConfigDict(extra="forbid")
    kind: EvidenceKind
    id: Annotated[str, Field(min_length=1, max_length=100)]


@router.post("/organizations/{organization_id}/evidence", response_class=StreamingResponse, responses=_PACK_RESPONSE)
async def create_evidence(context: CurrentOrganization, wanted: EvidenceRequest) -> Response:
    """Return the evidence of a call, a phone or a campaign: decisions, rules, consent, lists, events, audit entries.

    The audit log records it. `outdial verify evidence` checks the digest in the file.
    """
    return evidence_response(await take_evidence(context, wanted.kind, wanted.id))


def evidence_response(taken: TakenEvidence) -> Response:
    """Return the response that downloads a pack."""
    headers = {"content-disposition": f'attachment; filename="{taken.file_name}"', "cache-control": "no-store"}
    return StreamingResponse(taken.chunks(), media_type="application/json", headers=headers)
