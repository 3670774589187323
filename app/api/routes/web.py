"""The page at `/`: static files of `app/web`, with a policy that allows requests to this server only."""

import hashlib

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from app.api.wire.ranges import RangedFile
from app.errors import NotFound
from app.web import STATIC

router = APIRouter(include_in_schema=False)

# The page may load files and send requests to this server only. `blob:` and `data:` are pictures, sounds and videos
# that the page holds in memory.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
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
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
}
_YEAR = "public, max-age=31536000, immutable"
# Fixed types, because the machine's own table may differ.
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
    """Returns the page. The URLs of its files contain the release, so browsers may cache them, but not the page."""
    text = (STATIC / "index.html").read_text(encoding="utf-8").replace("/@/", f"/{release()}/")
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'
    headers = _SAFE | {"cache-control": "no-cache", "etag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(text, headers=headers)


@router.get("/static/{version}/{path:path}")
def static(version: str, path: str) -> Response:
    """Returns a file of the page. It may be cached only under the current release."""
    try:
        file = (STATIC / path).resolve()
        found = file.is_relative_to(STATIC.resolve()) and file.is_file()
    except (OSError, ValueError):  # a name that is too long or contains a null character
        found = False
    if not found or (kind := _TYPES.get(file.suffix)) is None:
        raise NotFound(f"there is no file {path[:100]!r} of the page")
    kept = _YEAR if version == release() else "no-cache"
    return RangedFile(file, media_type=kind, headers=_SAFE | {"cache-control": kept})


def release() -> str:
    """Computes the release from the names, sizes and modification times of the page's files."""
    digest = hashlib.sha256()
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            stat = file.stat()
            digest.update(f"{file.relative_to(STATIC)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
