"""What is under /api keeps to its schema, whatever is asked: cases drawn from the schema itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.python.asgi import ASGIClient, get_client
from schemathesis.schemas import BaseSchema

from askew.review.web import api
from tests.review.web import BASE, TOKEN, Site, site_on

N_CASES = 2_000  # over all operations that take something
N_BARE = 20  # where there is nothing to vary

_bare = FastAPI()
_bare.include_router(api.router)
TAKES = {
    (path, method): "parameters" in told or "requestBody" in told
    for path, methods in _bare.openapi()["paths"].items()
    for method, told in methods.items()
}
SIDES = [
    (path, method, mode)
    for (path, method), takes in TAKES.items()
    for mode in (GenerationMode if takes else [GenerationMode.POSITIVE])
]
N_EACH = -(-N_CASES // sum(TAKES[path, method] for path, method, _ in SIDES))


@dataclass
class Service:
    """The page in this process, with its schema."""

    site: Site
    client: ASGIClient
    schema: BaseSchema


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"a": rng.normal(size=40), "b": rng.normal(size=40), "c": rng.choice(["x", "y"], 40)},
        index=pd.Index([f"r{i}" for i in range(40)], name="id"),
    )
    bearer = {"authorization": f"Bearer {TOKEN}"}
    with site_on(table, tmp_path_factory.mktemp("schema")) as site:
        app: Any = site.app  # Starlette's types and schemathesis' are the same by other names
        with get_client(app) as client:
            client.headers.update(bearer)
            schema = schemathesis.openapi.from_asgi(
                "/api/openapi.json", app, headers=bearer | {"host": "127.0.0.1"}
            )
            yield Service(site, client, schema)


@pytest.mark.parametrize(("path", "method", "mode"), SIDES)
def test_every_reply_is_in_the_schema(
    service: Service, path: str, method: str, mode: GenerationMode
) -> None:
    """Also no reply is 5xx, what the schema allows is taken and what it forbids is refused."""
    operation = service.schema[path][method]
    seen = Counter[int]()

    @settings(
        max_examples=N_EACH if TAKES[path, method] else N_BARE,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), real_words(service.site))
    def ask(case: Case[Any], words: dict[str, str | None]) -> None:
        if mode is GenerationMode.POSITIVE:
            put_in(case, words)
        reply = case.call(base_url=BASE, session=service.client)
        case.validate_response(reply)
        seen[reply.status_code] += 1

    ask()
    least = N_EACH if TAKES[path, method] else N_BARE
    assert seen.total() >= least
    assert (200 if mode is GenerationMode.POSITIVE else 422) in seen


def real_words(site: Site) -> st.SearchStrategy[dict[str, str | None]]:
    """Draw what this table knows; nothing drawn at random would be in it."""
    columns = list(site.session.prepared.table.columns.columns)
    known = {"key": site.session.keys, "sort": columns, "column": columns}
    return st.fixed_dictionaries(
        {name: st.none() | st.sampled_from(words) for name, words in known.items()}
    )


def put_in(case: Case[Any], words: dict[str, str | None]) -> None:
    for part in (case.query, case.body):
        if isinstance(part, dict):
            part.update({name: word for name, word in words.items() if name in part and word})
