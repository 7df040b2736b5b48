"""Check the types and shapes of all calls of the project's functions in the tests, by jaxtyping and beartype.

Jaxtyping's own decorator makes two more functions of each function, binds the arguments of each call to its signature,
and checks them before and after the call: a quarter of all the time of the tests. This one checks arguments and results
once, in a third of that time; its errors say less of a shape than jaxtyping's do.
"""

import functools
import inspect
import types
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook
from jaxtyping._decorator import jaxtyped  # the original, also if this file is executed twice

# The project turns the TypeError of a stranger's wrong value into one line, so a check must raise no other error.
with_types = beartype(conf=BeartypeConf(violation_type=TypeError, is_color=False))


def check(function: Any, **_: Any) -> Any:
    """Decorate a function, or the constructor of a dataclass, in place of ``jaxtyping.jaxtyped``."""
    if inspect.isclass(function):
        if is_dataclass(function) and "__init__" in vars(function):
            function.__init__ = check(function.__init__)
        return function
    if not function.__annotations__:
        return function
    if inspect.isgeneratorfunction(function):  # beartype checks its arguments at its first value: out of the context
        return jaxtyped(function, typechecker=with_types)
    function.__annotations__ = {name: resolve(each, function) for name, each in function.__annotations__.items()}
    checked: Callable[..., Any] = with_types(function)

    @functools.wraps(function)
    def check_types(*args: Any, **kwargs: Any) -> Any:
        return (function if jaxtyping.config.jaxtyping_disable else checked)(*args, **kwargs)

    @functools.wraps(function)
    def check_shapes(*args: Any, **kwargs: Any) -> Any:
        with jaxtyped("context"):  # in which a name of a dimension is the same size throughout
            return check_types(*args, **kwargs)

    has_shapes = any("jaxtyping" in repr(each) for each in function.__annotations__.values())
    wrapper = check_shapes if has_shapes else check_types
    wrapper.__annotations__ = function.__annotations__  # which wraps does not copy from Python 3.14 on
    return wrapper


def resolve(annotation: Any, function: Callable[..., Any]) -> Any:
    """Return the type that an annotation in quotes names; Any if only type checkers import it, or it comes later."""
    if not isinstance(annotation, str):
        return annotation
    named = types.SimpleNamespace(__annotations__={"type": annotation})
    try:
        return get_type_hints(named, function.__globals__)["type"]
    except NameError:
        return Any


jaxtyping.jaxtyped = lambda **_: check  # by this name the hook decorates
install_import_hook(["attention", "decoders", "encoders", "lessons", "tasks"], None)
