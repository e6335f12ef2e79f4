"""Load a large network beside a visitor who may leave: the work goes on, and the next one finds it loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable

from models import registry
from models.errors import Cancelled

LOOK_AGAIN_S = 0.25
_one_at_a_time = threading.Lock()


def load_beside(name: str, report: Callable[[str, float | None], bool], words: str) -> None:
    """Have the registry load a network; raises what its loading raises, and Cancelled when `report` answers False.

    Whoever comes while it loads waits for the same loading.
    """
    wrong: list[Exception] = []

    def work() -> None:
        try:
            with _one_at_a_time:
                registry.load(name)
        except Exception as error:  # whatever it is, who waits below raises it
            wrong.append(error)

    thread = threading.Thread(target=work, name=f"load {name}", daemon=True)
    thread.start()
    while thread.is_alive():
        if not report(words, None):
            raise Cancelled("stopped before the model was loaded")
        thread.join(LOOK_AGAIN_S)
    if wrong:
        raise wrong[0]
