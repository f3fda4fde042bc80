"""What orchestrators and monitoring ask: /livez, /readyz, /metrics."""

from fastapi import APIRouter, Depends, Response
from prometheus_client import generate_latest
from pydantic import BaseModel

from observer.api.auth import Bearer, admin_of, identify_caller
from observer.api.openapi import errors
from observer.api.problems import Problem
from observer.api.services import Services
from observer.metrics import CONTENT_TYPE

router = APIRouter(tags=["Health"])


class HealthAnswer(BaseModel):
    """All is well."""

    status: str


@router.get("/livez", responses=errors())
async def livez() -> HealthAnswer:
    """Whether the process answers at all; restart it if not."""
    return HealthAnswer(status="alive")


@router.get("/readyz", responses=errors("not_ready"))
async def readyz(services: Services) -> HealthAnswer:
    """Whether messages are taken, stored and delivered; 503 with `reasons` if not."""
    if reasons := list(services.health.reasons()):
        raise Problem("not_ready", "; ".join(reasons), extra={"reasons": reasons})
    return HealthAnswer(status="ready")


async def _may_see_metrics(services: Services, bearer: Bearer) -> None:
    if not services.options.is_metrics_open:
        admin_of(await identify_caller(services, bearer))


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(_may_see_metrics)],
    responses={200: {"content": {CONTENT_TYPE: {}}}, **errors("invalid_credential", "not_allowed")},
)
async def metrics(services: Services) -> Response:
    """Prometheus metrics; they hold no ids. For an admin key, or open to everyone (`api.metrics_open`)."""
    return Response(generate_latest(services.registry), media_type=CONTENT_TYPE)
