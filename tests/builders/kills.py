"""Kills before and after chosen calls, in this process: what SIGKILL leaves behind, at each place where it matters."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Killed(BaseException):
    """What SIGKILL is to a program: nothing after it runs."""


@contextmanager
def killing(left: list[int], *calls: tuple[Any, str]) -> Iterator[None]:
    """calls: (owner, attribute), called through here meanwhile. left[0]: so many befores and afters of such calls until Killed is raised; 0: never."""

    def pass_one() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    def through(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            pass_one()
            done = original(*words, **named)
            pass_one()
            return done

        return call

    originals = [(owner, name, getattr(owner, name)) for owner, name in calls]
    try:
        for owner, name, original in originals:
            setattr(owner, name, through(original))
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)
