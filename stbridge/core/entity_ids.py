"""The entity IDs that Home Assistant makes of names.

Home Assistant replaces all letters by Latin ones (python-slugify with text-unidecode). The table here contains the
Latin, Greek and Cyrillic letters that have no accent; other scripts have tens of thousands.
"""

import re
import unicodedata
from collections.abc import Mapping

_REPLACEMENTS = (
    "ß=ss æ=ae ø=o œ=oe ł=l đ=d ħ=h ı=i ŧ=t þ=th ð=d ĸ=k ŋ=ng Ŋ=ng ƒ=f ə=- "  # noqa: RUF001
    "α=a β=b γ=g δ=d ε=e ζ=z η=e θ=th ι=i κ=k λ=l μ=m ν=n ξ=x Ξ=ks ο=o π=p ρ=r ς=s σ=s τ=t υ=u φ=ph χ=kh ψ=ps ω=o "  # noqa: RUF001
    "а=a б=b в=v г=g д=d е=e ж=zh з=z и=i к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=kh ц=ts ч=ch ш=sh щ=shch ъ= "  # noqa: RUF001
    "ы=y ь= э=e ю=iu я=ia ђ=dj є=ie Є=e ѕ=dz і=i ј=j љ=lj њ=nj ћ=tsh џ=dzh ґ=g ү=u ұ=u ө=o һ=h қ=k ң=n ғ=g "  # noqa: RUF001
    "€=eur £=ps §=ss °=deg ×=x ©=-c- ®=-r- ¶=p "  # noqa: RUF001
    # A typographic apostrophe disappears; a straight one separates words.
    "\u2018= \u2019= \u201b= \u2032= \u02bc="
)


def _table() -> Mapping[int, str]:
    given = dict(pair.split("=") for pair in _REPLACEMENTS.split())
    capitals = {letter.upper(): plain for letter, plain in given.items() if len(letter.upper()) == 1}
    return str.maketrans(capitals | given)


_TABLE = _table()

_DROPPED = re.compile("[\u2600-\u27bf\U00010000-\U0010ffff]")
"""Characters that Home Assistant drops: symbols such as stars, and emoji."""

_REPLACED = ("L", "N", "Sc")
"""Categories of characters that Home Assistant replaces by letters: letters, numbers and currencies."""

_COMMAS = re.compile(r"(?<=\d),(?=\d)")
_UNFIT = re.compile(r"[^a-z0-9]+")


def entity_id(platform: str, name: str) -> str:
    """Return the entity ID that Home Assistant makes of a name; letters that are not in the table are left out."""
    # Nearly all names are ASCII, and a fleet has tens of thousands of entities.
    plain = name if name.isascii() else "".join(_plain(one) for one in _decomposed(name))
    plain = _COMMAS.sub("", plain.lower())
    return f"{platform}.{_UNFIT.sub('_', plain).strip('_') or 'unknown'}"


def is_certain(name: str) -> bool:
    """Return whether `entity_id` knows every letter of a name."""
    return all(one.isascii() or not unicodedata.category(one).startswith(_REPLACED) for one in _decomposed(name))


def _decomposed(name: str) -> str:
    return unicodedata.normalize("NFKD", name).translate(_TABLE)


def _plain(character: str) -> str:
    if character.isascii():
        return character
    hidden = unicodedata.combining(character) or unicodedata.category(character) in ("Cc", "Cf")
    return "" if hidden or _DROPPED.match(character) else "-"
