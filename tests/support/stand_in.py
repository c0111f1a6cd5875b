"""A cluster class as a job is configured with one, which notes what is done with it."""

from pathlib import Path

from distributed import LocalCluster


class StandIn(LocalCluster):
    """Starts without workers, whose work is done in threads here.

    Parameters
    ----------
    notes : str
        File of a line for each call.
    fault : str
        ``"start"``, ``"interrupt"`` or ``"close"``: where it fails, if it does.
    token : str
        A secret.
    """

    def __init__(self, notes, fault="", token=""):
        self.notes, self.fault = Path(notes), fault
        super().__init__(n_workers=0, processes=False, protocol="tcp://", dashboard_address=":0")
        self.note("start")
        if fault == "start":
            raise OSError("sbatch: no such partition")
        if fault == "interrupt":
            raise KeyboardInterrupt

    def note(self, text):
        with self.notes.open("a") as file:
            file.write(f"{text}\n")

    def scale(self, n):
        if n:  # closing a cluster scales it to 0
            self.note(f"scale {n}")
        return super().scale(n)

    def adapt(self, **options):
        self.note(f"adapt {sorted(options.items())}")
        return super().adapt(**options)

    def close(self, timeout=None):
        was_open = self.status.name != "closed"
        super().close(timeout)
        if was_open:  # afterwards: until then an adaptive one may scale
            self.note("close")
        if self.fault == "close":
            raise RuntimeError("scancel: no answer")
