"""The options of the cluster that a job runs on, each declared once; see `daskgmm.jobs.options`."""

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from daskgmm.fitting.options import Option


class SchedulerOptions(TypedDict, total=False):
    """Options of the connection to a running cluster."""

    scheduler: Annotated[
        str | None,
        Option(
            metavar="ADDRESS|FILE",
            help="Address of a running Dask scheduler, or the file that holds it.",
        ),
    ]
    tls_ca: Annotated[
        str | None,
        Option(metavar="FILE", help="Certificate of the authority that signed the scheduler's."),
    ]
    tls_cert: Annotated[
        str | None, Option(metavar="FILE", help="Certificate to present to the scheduler.")
    ]
    tls_key: Annotated[
        str | None,
        Option(metavar="FILE", help="Key of --tls-cert, if it is in a file of its own."),
    ]


class SizeOptions(TypedDict, total=False):
    """Options of the size of an embedded cluster."""

    workers: Annotated[
        int | None,
        Option(
            least=1,
            help="Number of workers of the embedded cluster, which starts for large inputs if "
            "there is no --scheduler; by default one per core.",
        ),
    ]
    threads: Annotated[
        int | None, Option(least=1, help="Number of threads of each worker; by default one.")
    ]
    memory_limit: Annotated[
        str | None,
        Option(
            metavar="SIZE",
            help="Memory limit of each worker, such as 2GB; by default an equal share of the "
            "machine's memory.",
        ),
    ]


class WorkplaceOptions(TypedDict, total=False):
    """Options of a cluster of any kind: its class, its workers, and a report of it."""

    cluster: Annotated[
        Mapping[str, Any] | None,
        Option(
            metavar="JSON",
            help="Cluster that the job starts, scales and closes: its class, the arguments of the "
            "class, and scale (a number of workers) or adapt (minimum and maximum). Best as a "
            "table [cluster] in the file of --config.",
        ),
    ]
    performance_report: Annotated[
        str | None,
        Option(
            metavar="FILE.html",
            help="File for Dask's performance report, also written if the job fails. A job that "
            "would run without a cluster then starts an embedded one.",
        ),
    ]
    wait_for_workers: Annotated[
        int | None,
        Option(
            least=1,
            help="Number of workers to wait for before the job begins; by default one.",
        ),
    ]
    worker_timeout: Annotated[
        float,
        Option(
            default=300.0,
            least=0,
            above=True,
            metavar="SECONDS",
            help="Time without any worker, or without the N workers to wait for, after which the "
            "job ends with exit code 75.",
        ),
    ]


class ClusterOptions(SchedulerOptions, SizeOptions, WorkplaceOptions, total=False):
    """Options of the cluster that a job runs on."""
