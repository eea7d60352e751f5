"""Files as spreadsheets, address books and other dialers write them: each cell is read as what it says, or refused."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from outdial.campaigns.importing.preview import Preview, preview
from outdial.campaigns.importing.refusals import REFUSED_COLUMNS
from outdial.jobs.csv_cells import CsvBuffer, PlainPhone
from tests.support.factories import NOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A file and what it comes to: the phones by line, the starts of the reasons by line, and the notices."""

    content: bytes
    region: str = "US"
    mapping: Mapping[str, str] = field(default_factory=dict)
    phones: Mapping[int, str] = field(default_factory=dict)
    reasons: Mapping[int, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None
    variables: tuple[str, ...] | None = None

    def read(self) -> Preview:
        return preview(self.content, is_whole=True, mapping=self.mapping, default_region=self.region, now=NOW)


CASES = {
    "Windows-1252": Case(
        content="phone,name,slot\n+14155550101,René O’Hara,10 – 20\n".encode("cp1252"),
        phones={2: "+14155550101"},
        names=("René O’Hara",),
        notices=("Line 2 is not UTF-8. It and similar lines were read as Windows-1252.",),
    ),
    "UTF-8 and Windows-1252 in one file": Case(
        content="phone,name\n+14155550108,José\n".encode()
        + "+14155550109,Renée\n".encode("cp1252")
        + "+14155550110,Zoë\n".encode(),
        phones={2: "+14155550108", 3: "+14155550109", 4: "+14155550110"},
        names=("José", "Renée", "Zoë"),
        notices=("Line 3 is not UTF-8. It and similar lines were read as Windows-1252.",),
    ),
    "byte order mark": Case(content=b"\xef\xbb\xbfphone_number,name\n+14155550102,Bo\n", phones={2: "+14155550102"}),
    "byte order mark and quotes": Case(
        content=b'\xef\xbb\xbf"Phone Number","Name"\r\n"+14155550102","Bo"\r\n', phones={2: "+14155550102"}
    ),
    "padded": Case(
        content=b"phone        ,  name     ,  note  \n+1 415 555 0104  ,  Ann  Lee  ,  x   \n",
        phones={2: "+14155550104"},
        names=("Ann  Lee",),
    ),
    "sep=": Case(
        content="sep=;\r\nTelefon;Name;Preis\r\n030 23125 105;Jörg;1.234,50\r\n".encode(),
        region="DE",
        mapping={"phone": "Telefon"},
        phones={3: "+493023125105"},
        variables=("Preis",),
    ),
    "commas in a quoted header": Case(
        content=b'Phone;"Last, First, Middle";City\n+14155550105;"Lee, Ann, B";X\n',
        region="DE",
        phones={2: "+14155550105"},
        variables=("Last, First, Middle", "City"),
    ),
    "line breaks in a cell": Case(
        content=b'phone,address,name\r\n+14155550108,"1 Main St\r\nSuite 2\nSpringfield",Ann\r\nbad,"x",Bob\r\n'
        b"+14155550109,y,Cy\r\n",
        phones={2: "+14155550108", 6: "+14155550109"},
        reasons={5: "holds letters"},
    ),
    "empty columns at the end": Case(
        content=b"phone,name,,,\n+14155550117,Ann,,,\n+14155550118,Bob,,,\n",
        phones={2: "+14155550117", 3: "+14155550118"},
        variables=(),
    ),
    "delimiter at the end": Case(content=b"phone|name|\n+14155550119|Ann|\n", phones={2: "+14155550119"}),
    "index of pandas": Case(
        content=b",phone,name\n0,+14155550120,Ann\n1,+14155550121,Bob\n",
        phones={2: "+14155550120", 3: "+14155550121"},
        variables=(),
        notices=("column 1 has no name in the header and is left out",),
    ),
    "short rows": Case(
        content=b"phone,name,note,city\n+14155550130,Ann,n,X\n+14155550131,Bob\n+14155550132,Cy,m\n+14155550133,Di,,\n",
        phones={2: "+14155550130", 3: "+14155550131", 4: "+14155550132", 5: "+14155550133"},
        names=("Ann", "Bob", "Cy", "Di"),
    ),
    "tabs": Case(content=b"Phone\tName\tCity\n415-555-0124\tLee, Ann\tX\n", phones={2: "+14155550124"}),
    "NUL": Case(
        content=b"phone,name\n+14155550105,A\0nn\n+14155550106,Bob\n",
        phones={3: "+14155550106"},
        reasons={2: "contains a NUL character"},
    ),
    "floats of the US": Case(
        content=b"phone,name\n4155550136.0,Ann\n14155550137.0,Bob\n+14155550138.0,Cy\n",
        phones={2: "+14155550136", 3: "+14155550137", 4: "+14155550138"},
    ),
    "floats of Germany": Case(
        content=b"phone,name\n3023125136.0,Ann\n+493023125137.0,Bob\n493023125138.0,Cy\n",
        region="DE",
        phones={2: "+493023125136", 3: "+493023125137", 4: "+493023125138"},
    ),
    "exponents": Case(
        content=b'phone,name\n1.41556E+10,Ann\n4.4777E+11,Bob\n4.155550139E9,Cy\n"1,41556E+10",Di\n1.4155550140E10,E\n',
        reasons={
            2: "1.41556E+10 is in scientific notation",
            3: "4.4777E+11 is in scientific notation",
            4: "4.155550139E9 is in scientific notation",
            5: "1,41556E+10 is in scientific notation",
            6: "1.4155550140E10 is in scientific notation",
        },
    ),
    "a lost zero in the UK": Case(
        content=b"phone,name\n7700900141,Ann\n07700900142,Bob\n2079460143,Cy\n7400123456,Di\n07400123457,Ed\n",
        region="GB",
        phones={4: "+442079460143", 5: "+447400123456", 6: "+447400123457"},
        # Ofcom keeps 07700 900 for films and tests.
        reasons={2: "is not a number in use in GB", 3: "is not a number in use in GB"},
    ),
    "a lost zero in Belgium": Case(
        content=b"phone,name\n470123444,Ann\n0470123445,Bob\n",
        region="BE",
        phones={2: "+32470123444", 3: "+32470123445"},
    ),
    "words beside a number of the US": Case(
        content=b"phone,name\n415-555-0151 (cell),A\n415-555-0152 home,B\n+1 415 555 0153 call after 5,C\n"
        b"Cell: 415-555-0154,D\n1-800-FLOWERS,E\n415-555-CALL,F\n415 555 Ann,G\n",
        reasons={
            2: "holds letters ('cell')",
            3: "holds letters ('home')",
            4: "holds letters ('call after')",
            5: "holds letters ('Cell')",
            6: "toll-free and other special numbers have no time zone",
            7: "holds letters ('CALL')",
            8: "holds letters ('Ann')",
        },
    ),
    "words beside a number of Germany": Case(
        content=b"phone,name\n030 23125155 privat,A\n030 2312 Mobil,B\n030 23125156 (abends),C\n030 231 Home,D\n"
        b"+49 30 2312 gesch,E\n0171 3920 Frau Meier,F\n",
        region="DE",
        reasons={line: "holds letters" for line in range(2, 8)},
    ),
    "letters in a number": Case(
        content=b"phone,name\n415-555-XXXX,A\n(415) 555-01ab,B\n415-555-O142,C\n415-555-0l42,D\n"
        b"+1 415 555 0142 (do not call),E\n",
        reasons={line: "holds letters" for line in range(2, 7)},
    ),
    "two numbers in a cell": Case(
        content=b"phone,name\n030 2312516/17,A\n+49 30 2312516-18,B\n030/23125169,C\n+49 (0)30 23125170,D\n"
        b"030 23125-0,E\n030 2312517 / 030 2312518,F\n",
        region="DE",
        phones={4: "+493023125169", 5: "+493023125170", 6: "+4930231250"},
        reasons={
            2: "looks like a range of numbers",
            3: "looks like a range of numbers",
            7: "holds two numbers",
        },
    ),
    "digits of other scripts": Case(
        content="phone,name\n＋１４１５５５５０１７６,A\n+١٤١٥٥٥٥٠١٧٧,B\n+۱۴۱۵۵۵۵۰۱۷۸,C\n".encode(),
        phones={2: "+14155550176", 3: "+14155550177", 4: "+14155550178"},
    ),
    "names of variables": Case(
        content="phone,customerName,Account Tier,due-date,Größe,plan.name,ID\n"
        "+14155550188,Ada,Gold,2026-12-01,XL,pro,7\n".encode(),
        phones={2: "+14155550188"},
        variables=("customerName", "Account Tier", "due-date", "Größe", "plan.name", "ID"),
    ),
    "a file of Vapi": Case(
        content=b"number,name,account_tier,renewal_date,account_owner\n+14155550190,Ada,premium,September 1,Jo\n",
        phones={2: "+14155550190"},
    ),
    "a file of Bolna": Case(
        content=b"contact_number,customer_name,appointment_day\n+14155550191,Ada,Friday\n", phones={2: "+14155550191"}
    ),
    "a file of VICIdial": Case(
        content=b"list_id,phone_code,phone_number,first_name,last_name\n101,1,4155550142,Ada,Lee\n"
        b"101,44,2079460143,Bob,Ray\n101,+44,020 7946 0144,Cy,Ray\n101,44,+442079460145,Di,Ray\n"
        b"101,,4155550146,Ed,Ray\n101,NULL,4155550147,Flo,Ray\n101,44.0,2079460148,Gus,Ray\n",
        phones={
            2: "+14155550142",
            3: "+442079460143",
            4: "+442079460144",
            5: "+442079460145",
            6: "+14155550146",
            7: "+14155550147",
            8: "+442079460148",
        },
        names=("Ada Lee", "Bob Ray", "Cy Ray", "Di Ray", "Ed Ray", "Flo Ray", "Gus Ray"),
    ),
    "what is not a calling code": Case(
        content=b"phone,Dial Code\n4155550142,X1\n4155550143,999\n4155550144,0\n+442079460145,1\n2079460146,GB\n",
        phones={6: "+442079460146"},
        reasons={
            2: "Dial Code is 'X1', which is not a calling code such as 44",
            3: "Dial Code is '999', which is not a calling code such as 44",
            4: "Dial Code is '0', which is not a calling code such as 44",
            5: "has the country code 44, but the column of country codes has 1",
        },
    ),
    "Google Contacts": Case(
        content=b"First Name,Middle Name,Last Name,Organization Name,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,"
        b"Phone 1 - Value,Phone 2 - Label,Phone 2 - Value\n"
        b"Ada,,Lee,Acme,* Work,ada@example.com,Mobile,+1 415-555-0193,Work,+1 415-555-0194\n"
        b"Bob,,Ray,,,,Mobile,+1 415-555-0195 ::: +1 415-555-0196,,\n"
        b"Cy,,Ray,,,,,,Work,+1 415-555-0197\n",
        phones={2: "+14155550193", 4: "+14155550197"},
        reasons={3: "holds two numbers; give one number a row"},
        names=("Ada Lee", "Cy Ray"),
    ),
    "an empty phone beside another": Case(
        content=b"Name,Phone,Mobile,Work Phone\nAda,(415) 555-0101,(415) 555-0102,\nBob,,(415) 555-0103,\n"
        b"Cy,NULL,,415-555-0104\nDi,,415-555-0105,415-555-0106\nEd,,,\nFlo,,12,\n",
        phones={2: "+14155550101", 3: "+14155550103", 4: "+14155550104"},
        reasons={
            5: "the phone cell is empty; Mobile and Work Phone have one",
            6: "the cell is empty",
            7: "the phone cell is empty, and Mobile has too few digits",
        },
    ),
    "a phone column that the user chose": Case(
        content=b"Phone,Mobile\n415-555-0101,\n415-555-0102,415-555-0103\n",
        mapping={"phone": "Mobile"},
        phones={3: "+14155550103"},
        reasons={2: "the phone cell is empty; Phone has one"},
    ),
    "zones that mean something else than they say": Case(
        content=b"phone,timezone\n"
        + b"\n".join(
            b"+1415555%04d,%b" % (number, zone)
            for number, zone in enumerate(
                [
                    *(b"EST", b"PST", b"MST", b"UTC-5", b"GMT+1", b"Etc/GMT+5", b"CET", b"EST5EDT", b"-", b"0", b"GMT"),
                    *(b"america/new_york", b"Eastern Time (US & Canada)", b"US/Eastern"),
                ],
                start=112,
            )
        ),
        phones={15: "+14155550125"},
        reasons={line: "'" for line in range(2, 15)},
    ),
    "prefixes": Case(
        content=b"phone,name\n0044 20 7946 0127,A\n011 44 20 7946 0128,B\n+44 (0) 20 7946 0129,C\n"
        b"(+44) 20 7946 0130,D\n+ 1 415 555 0132,E\n1 (415) 555 0133,F\n001-415-555-0134,G\n00 1 415 555 0131,H\n",
        phones={
            2: "+442079460127",
            3: "+442079460128",
            4: "+442079460129",
            5: "+442079460130",
            6: "+14155550132",
            7: "+14155550133",
            8: "+14155550134",
            9: "+14155550131",
        },
    ),
    "words for no value": Case(
        content=b"phone,name,email,timezone,note\n+14155550135,NULL,N/A,NULL,nan\nN/A,Bob,,,\nnan,Cy,,,\n-,Di,,,\n"
        b"0,Ed,,,\n,Flo,,,\n\\N,Gus,,,\n#N/A,Hal,,,\n",
        phones={2: "+14155550135"},
        reasons={
            3: "no number: the cell says 'N/A'",
            4: "no number: the cell says 'nan'",
            5: "no number: the cell says '-'",
            6: "no number: the cell says '0'",
            7: "the cell is empty",
            8: "no number: the cell says '\\\\N'",
            9: "no number: the cell says '#N/A'",
        },
    ),
    "no plus in the own region": Case(
        content=b"phone,name\n4915123456789,A\n493023125145,B\n",
        region="DE",
        phones={3: "+493023125145"},
        reasons={2: "could be +4915123456789 or +494915123456789"},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_row_is_read_as_it_says_or_refused_with_the_reason(case: Case) -> None:
    found = case.read()

    assert found.problem is None
    assert {contact.line: contact.phone for contact in found.contacts} == case.phones
    reasons = {row.line: row.reason for row in found.refused}
    starts = {line: reasons.get(line, "")[: len(start)] for line, start in case.reasons.items()}
    assert (starts, reasons.keys()) == (case.reasons, case.reasons.keys())
    assert tuple(found.notices) == case.notices
    if case.names is not None:
        assert tuple(contact.details["name"] for contact in found.contacts) == case.names
    if case.variables is not None:
        assert tuple(found.variables) == case.variables


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"Phone,Name,Phone\n+14155550124,Ann,+14155550125\n", "columns 1 and 3 are both named 'Phone'"),
        (b"phone,name,Tag,tag\n+14155550126,Ann,a,b\n", "columns 3 and 4, 'Tag' and 'tag', are read as the same name"),
        (b"+14155550126,Ann\n+14155550127,Bob\n", "the file has no header row"),
        (b"Name,Phone 3 - Value\nAda,+14155550126\n", "map phone to one of them, such as phone=Phone 3 - Value"),
        (b"", "the file is empty"),
        (b"PK\x03\x04\x14\0", "the file is a ZIP archive"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_cause(content: bytes, problem: str) -> None:
    found = Case(content=content).read()

    assert problem in str(found.problem)
    assert found.contacts == ()


def test_no_value_becomes_a_field_or_a_variable() -> None:
    content = b"phone,name,email,Plan,City\n+14155550135,NULL,N/A,None,\\N\n"
    (contact,) = Case(content=content).read().contacts

    assert set(contact.details.values()) == {None}
    assert json.loads(contact.variables) == {}


def test_an_export_is_imported_as_it_was() -> None:
    names = ["Zoë", "=Ada", "'=Bob", "-", "O'Hara", "Lee, Ann", 'two\n"lines"', "'t Hart", "+1 Cy"]
    phones = [f"+1415555{number:04}" for number in range(len(names))]
    text = CsvBuffer(["phone", "name", "=plan"])
    for phone, name in zip(phones, names, strict=True):
        text.add([PlainPhone(phone), name, name])

    found = Case(content=text.take()).read()

    assert found.refused == []
    assert [(contact.phone, contact.details["name"]) for contact in found.contacts] == list(
        zip(phones, names, strict=True)
    )
    assert [json.loads(contact.variables) for contact in found.contacts] == [{"=plan": name} for name in names]


def test_refused_rows_are_imported_once_they_are_corrected() -> None:
    case = Case(
        content=b'phone,Plan,City\ncall me,gold,Rome\n+14155550101,"tin,Oslo\n+14155550102,a,b,c\n\tx,lead,-\n',
    )
    refused = case.read().refused
    text = CsvBuffer([*REFUSED_COLUMNS, "phone", "Plan", "City"])
    for row in refused:
        text.add([row.line, row.kind, row.reason, *row.cells])
    content = text.take()

    again = Case(content=content).read()
    assert [(row.line, row.kind) for row in again.refused] == [
        (2, "bad_phone"),
        (3, "bad_phone"),
        (4, "wrong_columns"),
        (5, "bad_phone"),
    ]

    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    corrected = io.StringIO()
    csv.writer(corrected).writerows([rows[0], [*rows[1][:3], "+14155550100", *rows[1][4:]]])
    (contact,) = Case(content=corrected.getvalue().encode()).read().contacts
    assert (contact.phone, json.loads(contact.variables)) == ("+14155550100", {"Plan": "gold", "City": "Rome"})
