"""Header fields that every answer, or every page, carries."""

from __future__ import annotations

DATA_HEADERS = (
    ("x-content-type-options", "nosniff"),
    ("access-control-allow-origin", "*"),
    (
        "access-control-expose-headers",
        "content-location, etag, link, location, retry-after, server-timing, x-request-id",
    ),
)
"""Data may be read by scripts of any origin: they are public, and nothing here knows who asks."""

PAGE_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("x-frame-options", "DENY"),
)
"""Pages take nothing from anywhere else, and cannot be framed."""
