"""Texts that are numbers, or would be without a separator or a sign.

For CSV, where every value is a text, and for errors about columns of text.
"""

import re

_DECIMAL_COMMA = re.compile(r"\s*[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][-+]?\d+)?\s*")
_NUMBER = re.compile(
    r"\s*[-+]?((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|inf|infinity|nan)\s*", re.IGNORECASE | re.ASCII
)
_THOUSANDS = re.compile(
    r"\s*[-+]?[1-9]\d{0,2}((,\d{3})+(\.\d+)?|(['’\s]\d{3})+([.,]\d+)?|(\.\d{3}){2,})\s*"
)
_CURRENCY = re.compile(r"\s*[-+(]?\s*[$€£¥₹]\s*[-+]?\d.*|.*\d\s*[$€£¥₹]\)?\s*")
_PERCENT = re.compile(r"\s*[-+]?[\d.,]*\d\s*%\s*")
_LONGEST_SHOWN = 60

_WITH_POINTS = (
    "Write decimals with a point, for example "
    "`pandas.read_csv(f, sep=';', decimal=',').to_parquet('f.parquet')`."
)
"""Remedy for decimal commas."""

_WITHOUT_THOUSANDS = (
    "Write numbers without them, for example "
    "`pandas.read_csv(f, thousands=',').to_parquet('f.parquet')`."
)


def has_decimal_comma(text: str) -> bool:
    """Whether a text is a number with a decimal comma.

    >>> [has_decimal_comma(text) for text in ("13,17", "-1.024,5", "1,2,3", "a,1", "13.17")]
    [True, True, False, False, False]
    """
    return _DECIMAL_COMMA.fullmatch(text) is not None


def has_thousands(text: str) -> bool:
    """Whether a text may be a number with separators between thousands.

    >>> [has_thousands(text) for text in ("5,126", "1'000.5", "0,126", "5,12", "1,234,567.8")]
    [True, True, False, False, True]
    """
    return _THOUSANDS.fullmatch(text) is not None


def is_number_text(text: str) -> bool:
    """Whether Arrow reads a text as a float.

    >>> [is_number_text(text) for text in ("1.5", " -2e3", "inf", "1_000", "0x10", "")]
    [True, True, True, False, False, False]
    """
    return _NUMBER.fullmatch(text) is not None


def format_flaw(text: str, delimiter: str = ";") -> tuple[str, str] | None:
    """The sign or separator because of which a text is not read as a number, and the remedy.

    A comma before three digits is taken for a separator of thousands where commas part the
    values, and for a decimal comma elsewhere.
    """
    if has_thousands(text) and (delimiter == "," or not has_decimal_comma(text)):
        return "a thousands separator", _WITHOUT_THOUSANDS
    if has_decimal_comma(text):
        return "a decimal comma", _WITH_POINTS
    if _PERCENT.fullmatch(text):
        return "a percent sign", "Write plain numbers: without the sign, in all rows alike."
    if _CURRENCY.fullmatch(text):
        return "a currency sign", "Write plain numbers, with the currency in the column's name."
    return None


def shortened(text: str) -> str:
    """The beginning of a value that fits into an error; an unclosed quote makes it endless."""
    start = (text.splitlines() or [""])[0][:_LONGEST_SHOWN]
    return text if start == text else f"{start}…"
