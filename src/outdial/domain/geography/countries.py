"""Countries as users write them, and their time zones. Names and zones come from the zone database (tzdata)."""

from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

from outdial.domain.geography.regions import fold

# ISO 3166: each alpha-3 code with its alpha-2 code.
_CODES: Final = """
ABWAW AFGAF AGOAO AIAAI ALAAX ALBAL ANDAD AREAE ARGAR ARMAM ASMAS ATAAQ ATFTF ATGAG AUSAU AUTAT AZEAZ BDIBI
BELBE BENBJ BESBQ BFABF BGDBD BGRBG BHRBH BHSBS BIHBA BLMBL BLRBY BLZBZ BMUBM BOLBO BRABR BRBBB BRNBN BTNBT
BVTBV BWABW CAFCF CANCA CCKCC CHECH CHLCL CHNCN CIVCI CMRCM CODCD COGCG COKCK COLCO COMKM CPVCV CRICR CUBCU
CUWCW CXRCX CYMKY CYPCY CZECZ DEUDE DJIDJ DMADM DNKDK DOMDO DZADZ ECUEC EGYEG ERIER ESHEH ESPES ESTEE ETHET
FINFI FJIFJ FLKFK FRAFR FROFO FSMFM GABGA GBRGB GEOGE GGYGG GHAGH GIBGI GINGN GLPGP GMBGM GNBGW GNQGQ GRCGR
GRDGD GRLGL GTMGT GUFGF GUMGU GUYGY HKGHK HMDHM HNDHN HRVHR HTIHT HUNHU IDNID IMNIM INDIN IOTIO IRLIE IRNIR
IRQIQ ISLIS ISRIL ITAIT JAMJM JEYJE JORJO JPNJP KAZKZ KENKE KGZKG KHMKH KIRKI KNAKN KORKR KWTKW LAOLA LBNLB
LBRLR LBYLY LCALC LIELI LKALK LSOLS LTULT LUXLU LVALV MACMO MAFMF MARMA MCOMC MDAMD MDGMG MDVMV MEXMX MHLMH
MKDMK MLIML MLTMT MMRMM MNEME MNGMN MNPMP MOZMZ MRTMR MSRMS MTQMQ MUSMU MWIMW MYSMY MYTYT NAMNA NCLNC NERNE
NFKNF NGANG NICNI NIUNU NLDNL NORNO NPLNP NRUNR NZLNZ OMNOM PAKPK PANPA PCNPN PERPE PHLPH PLWPW PNGPG POLPL
PRIPR PRKKP PRTPT PRYPY PSEPS PYFPF QATQA REURE ROURO RUSRU RWARW SAUSA SDNSD SENSN SGPSG SGSGS SHNSH SJMSJ
SLBSB SLESL SLVSV SMRSM SOMSO SPMPM SRBRS SSDSS STPST SURSR SVKSK SVNSI SWESE SWZSZ SXMSX SYCSC SYRSY TCATC
TCDTD TGOTG THATH TJKTJ TKLTK TKMTM TLSTL TONTO TTOTT TUNTN TURTR TUVTV TWNTW TZATZ UGAUG UKRUA UMIUM URYUY
USAUS UZBUZ VATVA VCTVC VENVE VGBVG VIRVI VNMVN VUTVU WLFWF WSMWS YEMYE ZAFZA ZMBZM ZWEZW
XKXXK
"""
# What users write beside the names of the zone database.
_OTHER_NAMES: Final = """
AE: UAE, Emirates
AG: Antigua
AS: American Samoa
AT: Österreich
AU: Commonwealth of Australia
BA: Bosnia
BE: Belgique, België
BO: Plurinational State of Bolivia
BN: Brunei Darussalam
BR: Brasil
BS: The Bahamas
CD: DR Congo, DRC, Democratic Republic of the Congo
CF: Central African Republic
CG: Republic of the Congo, Congo
CH: Schweiz, Suisse, Svizzera
CI: Ivory Coast
CV: Cabo Verde
CN: People's Republic of China, PRC
CZ: Czechia
DE: Deutschland
DK: Danmark
ES: España
FI: Suomi
FM: Micronesia
GB: United Kingdom, UK, Great Britain, Britain, England, Scotland, Wales, Northern Ireland
GM: The Gambia
GR: Hellas
HK: Hong Kong SAR
IR: Islamic Republic of Iran
IT: Italia
KN: Saint Kitts and Nevis
KP: DPRK, North Korea
KR: South Korea, Korea, Republic of Korea
LA: Lao PDR
LC: Saint Lucia
MD: Republic of Moldova
MK: Macedonia
MM: Burma, Myanmar
MO: Macao
MX: México
NL: Holland, Nederland, The Netherlands
NO: Norge
PH: The Philippines
PL: Polska
RU: Russian Federation
SE: Sverige
SX: Sint Maarten
SY: Syrian Arab Republic
SZ: Swaziland, Eswatini
TC: Turks and Caicos Islands, Turks and Caicos
TL: Timor-Leste
TR: Türkiye
TZ: United Republic of Tanzania
US: USA, U.S., U.S.A., United States, United States of America, America
VA: Vatican, Holy See
VC: Saint Vincent and the Grenadines
VE: Bolivarian Republic of Venezuela
VI: US Virgin Islands, United States Virgin Islands
VG: British Virgin Islands
VN: Viet Nam
WS: Samoa
XK: Kosovo
"""


@lru_cache(maxsize=1_000)
def find_country(text: str) -> str | None:
    """Return the alpha-2 code of the country that `text` names by a code of ISO 3166 or by name, in any case."""
    return _by_name().get(fold(text))


def country_name(code: str) -> str:
    """Return the English name of a country by its alpha-2 code, or the code if it has none."""
    return _names().get(code, code)


def zones_of_country(code: str) -> frozenset[str]:
    """Return all time zones of a country; none for one that the zone database does not know."""
    return _zones().get(code, frozenset())


@cache
def _by_name() -> dict[str, str]:
    found = {fold(name): code for code, name in _names().items()}
    for line in _OTHER_NAMES.strip().splitlines():
        code, names = line.split(": ")
        found.update((fold(name), code) for name in names.split(", "))
    for pair in _CODES.split():
        found[pair[:3].lower()] = found[pair[3:].lower()] = pair[3:]
    return found


@cache
def _names() -> dict[str, str]:
    return {line[:2]: line[3:] for line in _table("iso3166.tab")}


@cache
def _zones() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _table("zone.tab"):
        country, _, zone, *_ = line.split("\t")
        found.setdefault(country, set()).add(zone)
    return {country: frozenset(zones) for country, zones in found.items()}


def _table(name: str) -> list[str]:
    text = (files("tzdata.zoneinfo") / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
