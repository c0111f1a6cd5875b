"""Prometheus's side of schedulers and workers, for tests of what it finds there."""

from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families


def scrape(port):
    """All samples that a ``/metrics`` tells: values by name and labels."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [sample for family in families for sample in family.samples]
    keys = [(sample.name, frozenset(sample.labels.items())) for sample in samples]
    ours = [key for key in keys if key[0].startswith("daskgmm_")]
    assert len(set(ours)) == len(ours)
    return dict(zip(keys, (sample.value for sample in samples), strict=True))


def of(found, name, **labels):
    """The value of one sample, or None."""
    return found.get((name, frozenset(labels.items())))
