"""The page at `/`: static files of `app/web`, under a policy that lets it talk to this server only."""

import hashlib

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from app.api.wire.ranges import RangedFile
from app.errors import NotFound
from app.web import STATIC

router = APIRouter(include_in_schema=False)

# Nothing but files of this server runs or is shown, and nothing is asked of any other. `blob:` and
# `data:` are pictures, sounds and videos that the page holds in memory.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
)
_SAFE = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_YEAR = "public, max-age=31536000, immutable"
# Not the machine's table: what a browser needs must not depend on where the server runs.
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain",
    ".md": "text/plain",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ogg": "audio/ogg",
    ".mp4": "video/mp4",
}


@router.get("/")
def index(request: Request) -> Response:
    """The page, with the release of its files in their addresses: they may be kept for ever, it may not."""
    text = (STATIC / "index.html").read_text(encoding="utf-8").replace("/@/", f"/{release()}/")
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'
    headers = _SAFE | {"cache-control": "no-cache", "etag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(text, headers=headers)


@router.get("/static/{version}/{path:path}")
def static(version: str, path: str) -> Response:
    """One file. Under another release than this one, it must be asked for again each time."""
    try:
        file = (STATIC / path).resolve()
        found = file.is_relative_to(STATIC.resolve()) and file.is_file()
    except (OSError, ValueError):  # a name too long, or with a zero in it
        found = False
    if not found or (kind := _TYPES.get(file.suffix)) is None:
        raise NotFound(f"there is no file {path[:100]!r} of the page")
    kept = _YEAR if version == release() else "no-cache"
    return RangedFile(file, media_type=kind, headers=_SAFE | {"cache-control": kept})


def release() -> str:
    """Changes with any file of the page: names, sizes and times of change are cheap to look at."""
    digest = hashlib.sha256()
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            stat = file.stat()
            digest.update(f"{file.relative_to(STATIC)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
