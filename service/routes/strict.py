"""Routes that take nothing they do not understand: JSON bodies are read strictly, query parameters must be known."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.responses import Response

from recommender.text import printable
from service.problems import HTTPProblem


class StrictRoute(APIRoute):
    """A route that refuses query parameters it does not know, and JSON that says two things or no thing."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of a request. Raises HTTPProblem 422."""
        handle = super().get_route_handler()
        known = _query_of(self.dependant)

        async def strictly(request: Request) -> Response:
            _check_query(request, known)
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


def _query_of(dependant: Dependant) -> dict[str, bool]:
    """The query parameters of a function and of all it depends on; True for those that may be repeated."""
    known = {
        field.alias: get_origin(field.field_info.annotation) is tuple for field in dependant.query_params
    }
    for one in dependant.dependencies:
        known |= _query_of(one)
    return known


class _StrictRequest(Request):
    async def json(self) -> Any:
        return strict_json(await self.body())


def strict_json(body: bytes) -> Any:
    """The parsed body. Raises HTTPProblem 422 for what is no JSON, is too deep or too long, or has a key twice."""
    try:
        return json.loads(body, object_pairs_hook=_once, parse_constant=_refuse_constant)
    except RecursionError:
        raise _refusal("The JSON is nested too deeply.", "No request needs more than a few levels.") from None
    except UnicodeDecodeError:
        raise _refusal("The JSON is no Unicode text.", "Send it in UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"{error.msg} at character {error.pos + 1}"
        raise _refusal(f"The body is no JSON: {where}.", "Send one JSON object.") from None
    except ValueError:  # Python reads no whole numbers of thousands of digits
        raise _refusal("A number in the JSON is too long.", "Send numbers of a sensible size.") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _refusal(f"The JSON has the key {printable(twice)!r} twice.", "Give each key once.")
    return found


def _refuse_constant(name: str) -> Any:
    raise _refusal(f"The JSON has a {name}, which is no number.", "Leave the field out, or send null.")


def _check_query(request: Request, known: dict[str, bool]) -> None:
    given = [name for name, _ in request.query_params.multi_items()]
    allowed = f"Allowed here: {', '.join(sorted(known))}." if known else "None is allowed here."
    for name in given:
        if name not in known:
            raise _refusal(f"There is no query parameter {printable(name)!r} here.", allowed)
        if given.count(name) > 1 and not known[name]:
            raise _refusal(
                f"The query parameter {printable(name)!r} is given twice or more.", "Give it once."
            )


def _refusal(detail: str, remedy: str) -> HTTPProblem:
    return HTTPProblem(422, "request", detail, remedy=remedy)
