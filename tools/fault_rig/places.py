"""Paths of a test."""

from pathlib import Path


class Places:
    """Files and subfolders of the folder of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.line = folder / "line.toml"
        self.log = folder / "station.log"
        self.witness = folder / "witness.jsonl"
        self.samples = folder / "samples.jsonl"
        self.faults = folder / "faults.jsonl"
        self.account = folder / "account.json"
        self.switches = folder / "switches"
        self.sensor = folder / "sensor"
        self.port = folder / "port"
        self.bundles = folder / "bundles"
        self.disk = folder / "disk"
        self.records = self.disk / "records.sqlite"
        self.pictures = self.disk / "pictures"
        self.saved_records = folder / "records.sqlite"
