"""XML as annotation tools save it, with no entity expanded."""

from __future__ import annotations

import codecs
import re
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

_DECLARATION = re.compile(rb"""<\?xml\s[^>]*?encoding\s*=\s*["']([\w.:-]+)["'][^>]*\?>""")
# What `xml_root` raises for what is no XML, or one that it refuses.
XML_ERRORS = (ParseError, DefusedXmlException, ValueError, LookupError, OverflowError)


def xml_root(data: bytes) -> Element:
    """Parses xml in the encoding that it declares; without a declaration it is UTF-8 or UTF-16.

    Python decodes, because expat lacks the encodings of several bytes a character (gb2312).
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    declaration = _DECLARATION.match(data)
    if not declaration:
        return fromstring(data)
    encoding = declaration[1].decode()
    # Some writers declare UTF-16 and save UTF-8. Here one byte is one letter: it is not UTF-16.
    encoding = "utf-8" if encoding.lower().startswith("utf-16") else encoding
    return fromstring(data[declaration.end() :].decode(encoding))
