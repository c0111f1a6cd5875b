"""Results of a pass on a cluster, kept until the next pass has been sent."""

from collections.abc import Mapping
from typing import Any


class Results:
    """Future of the latest pass's result.

    A client sends what it has to say at most every 10 ms: where it first lets go of the results of
    one pass, the next one waits that long.
    """

    def __init__(self) -> None:
        self._future: Any = None

    def get(self, client: Any, graph: Mapping[Any, Any], key: Any) -> Any:
        """Compute a key of a graph on the client's cluster, and then let go of the result before.

        Within a task, which others may wait for meanwhile, nothing is kept.
        """
        if _in_task():
            self.close()
            return client.get(graph, key)
        try:
            self._future = client.get(graph, key, sync=False)
            return client.gather(self._future)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the results."""
        self._future = None


def _in_task() -> bool:
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True
