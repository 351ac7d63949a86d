"""The stream's own door: is it alive, are there rows, what does it count."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def health_app(live: Callable[[], bool], ready: Callable[[], bool], exposition: Callable[[], bytes]) -> Starlette:
    """`/v2/health/live`, `/v2/health/ready` (200 or 503) and `/metrics`. Ready: the first rows are written."""

    async def answer_live(_: Request) -> Response:
        return JSONResponse({"live": live()}, status_code=200 if live() else 503)

    async def answer_ready(_: Request) -> Response:
        return JSONResponse({"ready": ready()}, status_code=200 if ready() else 503)

    async def answer_metrics(_: Request) -> Response:
        return Response(exposition(), media_type=TEXT)

    return Starlette(
        routes=[
            Route("/v2/health/live", answer_live),
            Route("/v2/health/ready", answer_ready),
            Route("/metrics", answer_metrics),
        ]
    )
