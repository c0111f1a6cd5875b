"""Removal of credentials from addresses, for messages, logs and records."""

import re

MASK = "***"

_PASSWORD = re.compile(r"(?P<user>\w://[^/\s:@'\"]*):[^/\s'\"]*@")
# A pattern may have a question mark too, but no name and sign of equality after it.
_QUERY = re.compile(r"(?P<address>\w://[^\s?'\"]*\?)[\w.~%-]+=[^\s'\"]*")


def without_credentials(text: str) -> str:
    """Text without the passwords and queries of its addresses: signed URLs have keys in queries.

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
    """A path or URL as shown to users: without password and query."""
    return without_credentials(path).removesuffix(f"?{MASK}")
