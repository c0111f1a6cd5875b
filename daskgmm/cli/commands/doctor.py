"""The command ``daskgmm doctor``."""

from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.options.shared import COMMON, JSON, SCHEDULER, resources_of

if TYPE_CHECKING:
    from daskgmm.jobs.doctor.report import Reported


@click.command()
@JSON
@SCHEDULER
@COMMON
def doctor(*, as_json: bool, **options: Any) -> None:
    """Check this machine or a running cluster for common problems.

    On a cluster, all workers are checked. Each finding is a line: ok, warning or problem, and
    what to do about it. The exit code is 0 whatever the findings, unless no check could run.
    """
    from dataclasses import asdict

    from daskgmm.jobs.doctor.report import examine
    from daskgmm.jobs.json_values import to_json

    findings = examine(resources_of(options))
    if as_json:
        click.echo(to_json([asdict(finding) for finding in findings]))
        return
    for finding in findings:
        click.echo(_line(finding))


def _line(finding: "Reported") -> str:
    on = finding.where
    where = "" if on[0] in ("here", "cluster") else f" [{on[0] if len(on) == 1 else _count(on)}]"
    return f"{finding.level:<8} {finding.check}: {finding.fact} {finding.remedy}".rstrip() + where


def _count(workers: tuple[str, ...]) -> str:
    return f"{len(workers)} workers"
