"""Credentials in addresses, which no message, log or record may show."""

import re

MASK = "***"

_PASSWORD = re.compile(r"(?P<user>\w://[^/\s:@'\"]*):[^/\s'\"]*@")
# A pattern may have a question mark too, but no name and sign of equality after it.
_QUERY = re.compile(r"(?P<address>\w://[^\s?'\"]*\?)[\w.~%-]+=[^\s'\"]*")


def without_credentials(text: str) -> str:
    """Text whose addresses show neither passwords nor queries: those of signed URLs are keys.

    >>> without_credentials("ftp://me:secret@host/rows.csv is gone")
    'ftp://me:***@host/rows.csv is gone'
    >>> without_credentials("https://host/rows.csv?X-Amz-Signature=0123")
    'https://host/rows.csv?***'
    >>> without_credentials("s3://bucket/day=1/part-?.parquet")
    's3://bucket/day=1/part-?.parquet'
    """
    text = _PASSWORD.sub(rf"\g<user>:{MASK}@", text)
    return _QUERY.sub(rf"\g<address>{MASK}", text)


def shown_address(path: str) -> str:
    """A path or URL by which a file is named: no password, and no query at all."""
    return without_credentials(path).removesuffix(f"?{MASK}")
