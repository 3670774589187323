"""Swagger UI at /docs, served from local files so that it works offline."""

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

ASSETS = "/docs/assets"


def install(app: FastAPI, root_path: str) -> None:
    # Only the package's copy of Swagger UI is used, none of its code.
    app.mount(ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=f"{root_path}{app.openapi_url}",
            title="Cloze: API",
            swagger_js_url=f"{root_path}{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root_path}{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root_path}{ASSETS}/favicon.png",
            swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True},
        )
