"""Contacts of a simulated workspace, with Retell's own do-not-call flag, and Retell's endpoints for them."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from outdial.retell.simulator.clock import epoch_ms
from outdial.retell.simulator.endpoints.exchange import (
    BadBody,
    SimulatedRequest,
    SimulatedResponse,
    UnknownAsset,
    check_numbers,
    cut_page,
    json_response,
)

if TYPE_CHECKING:
    from outdial.retell.simulator.workspace import SimulatedWorkspace

ORGANIZATION: Final = "org_simulator"


class _Contact(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The fields of a contact that its owner sets."""

    do_not_call: bool | None = None
    first_name: str | None = None
    last_name: str | None = None
    contact_memory: str | None = None
    custom_fields: dict[str, Any] | None = None


class _NewContact(_Contact, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    phone_number: str


class _BooleanFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Literal["boolean"]
    op: Literal["eq"]
    value: bool


class _PhoneFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Literal["string"]
    op: Literal["eq"]
    value: str


class _Criteria(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters that the simulator supports. Ignoring another one would return wrong contacts."""

    do_not_call: _BooleanFilter | None = None
    phone_number: _PhoneFilter | None = None


class _ListContacts(Struct, kw_only=True, forbid_unknown_fields=True):
    filter_criteria: _Criteria = _Criteria()
    sort_order: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    skip: Annotated[int, Meta(ge=0)] | None = None
    pagination_key: str | None = None


class ContactDirectory:
    """The contacts of a workspace by phone number, in the order of creation; one for each number."""

    def __init__(self, id_prefix: str) -> None:
        self._id_prefix = id_prefix
        self._by_phone: dict[str, dict[str, Any]] = {}

    def find(self, phone: str) -> dict[str, Any] | None:
        """Return the contact of a number as Retell's JSON, or None."""
        return self._by_phone.get(phone)

    def named(self, contact_id: str) -> dict[str, Any] | None:
        """Return the contact with this id, or None."""
        return next((contact for contact in self._by_phone.values() if contact["contact_id"] == contact_id), None)

    def all(self) -> list[dict[str, Any]]:
        """Return all contacts."""
        return list(self._by_phone.values())

    def add(self, phone: str, fields: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
        """Add a contact and return it."""
        digest = blake2b(f"{self._id_prefix}contact/{phone}".encode(), digest_size=13).hexdigest()
        contact: dict[str, Any] = {
            "contact_id": f"contact_{digest}",
            "org_id": ORGANIZATION,
            "phone_number": phone,
            "created_timestamp": now_ms,
            "do_not_call": False,
        }
        self._by_phone[phone] = contact
        self.change(contact, fields, now_ms)
        return contact

    def change(self, contact: dict[str, Any], fields: Mapping[str, Any], now_ms: int) -> None:
        """Change the given fields of a contact."""
        contact.update(fields)
        contact["user_modified_timestamp"] = now_ms

    def opt_out(self, phone: str, now_ms: int) -> None:
        """Mark a number as do-not-call, as an agent does when its contact asks for it."""
        contact = self._by_phone.get(phone)
        if contact is None:
            self.add(phone, {"do_not_call": True}, now_ms)
        else:
            self.change(contact, {"do_not_call": True}, now_ms)

    def is_opted_out(self, phone: str) -> bool:
        """Return whether a number is marked as do-not-call."""
        contact = self._by_phone.get(phone)
        return contact is not None and contact["do_not_call"] is True

    def delete(self, phone: str) -> None:
        """Delete the contact of a number."""
        del self._by_phone[phone]


def create_contact(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """POST /create-contact. A workspace has at most one contact for each number."""
    new = request.read(_NewContact)
    check_numbers(new.phone_number)
    if workspace.contacts.find(new.phone_number) is not None:
        raise BadBody(f"a contact with the number {new.phone_number} already exists")
    return json_response(201, workspace.contacts.add(new.phone_number, _given(new), epoch_ms(request.now)))


def get_contact(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """GET /get-contact/{id}."""
    return json_response(200, _contact(workspace, request))


def get_contact_by_phone(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """GET /get-contact-by-phone/{number}."""
    contact = workspace.contacts.find(request.object_id)
    if contact is None:
        raise UnknownAsset
    return json_response(200, contact)


def update_contact(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """PATCH /update-contact/{id}."""
    contact, changes = _contact(workspace, request), request.read(_Contact)
    workspace.contacts.change(contact, _given(changes), epoch_ms(request.now))
    return json_response(200, contact)


def delete_contact(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """DELETE /delete-contact/{id}."""
    workspace.contacts.delete(_contact(workspace, request)["phone_number"])
    return SimulatedResponse(204, b"")


def list_contacts(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """POST /list-contacts, with filters on do_not_call and phone_number."""
    wanted = request.read(_ListContacts, default=b"{}")
    if wanted.skip is not None and wanted.pagination_key is not None:
        raise BadBody("skip and pagination_key exclude each other")
    flag, phone = wanted.filter_criteria.do_not_call, wanted.filter_criteria.phone_number
    found = [
        contact
        for contact in workspace.contacts.all()
        if (flag is None or contact["do_not_call"] is flag.value)
        and (phone is None or contact["phone_number"] == phone.value)
    ]
    if wanted.sort_order == "desc":
        found.reverse()
    page = cut_page(
        found,
        lambda contact: contact["contact_id"],
        limit=wanted.limit,
        after=wanted.pagination_key,
        skip=wanted.skip or 0,
    )
    return json_response(200, {**page, "total": len(found)})


def _contact(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> dict[str, Any]:
    contact = workspace.contacts.named(request.object_id)
    if contact is None:
        raise UnknownAsset
    return contact


def _given(contact: _Contact) -> dict[str, Any]:
    names = ("do_not_call", "first_name", "last_name", "contact_memory", "custom_fields")
    return {name: value for name in names if (value := getattr(contact, name)) is not None}
