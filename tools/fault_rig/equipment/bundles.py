"""Bundles of a test: two good ones that alternate, and bad ones that a station must refuse."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from bundle import Golden, load_bundle, write_bundle
from bundle.folder import MODEL
from bundle.golden import encode
from edge.engines.engine import Engine
from edge.engines.registry import open_engine
from tools.fault_rig.equipment.belt import picture


def write_bad_bundles(good: Path, folder: Path) -> list[Path]:
    """Write a damaged bundle, and an intact one that fails its golden frames; raises BundleError if `good` is bad."""
    damaged, disagreeing = folder / "damaged", folder / "disagreeing"
    shutil.copytree(good, damaged)
    content = bytearray((damaged / MODEL).read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / MODEL).write_bytes(content)
    whole = load_bundle(good)
    other: Golden = replace(whole.golden, scores=1 - whole.golden.scores)
    write_bundle(disagreeing, whole.manifest, {MODEL: whole.model.read_bytes(), **encode(other)})
    return [damaged, disagreeing]


def ask_directly(bundles: list[Path]) -> Callable[[int, str], str]:
    """Return a function that runs a bundle, by its id, on a part's own picture and returns the verdict."""
    loaded = {bundle.id: bundle for bundle in map(load_bundle, bundles)}
    engines: dict[str, Engine] = {}

    @cache
    def verdict(part_id: int, bundle_id: str) -> str:
        if bundle_id not in loaded:
            return "nothing, as it is no bundle of this run"
        bundle, frame = loaded[bundle_id], picture(part_id)
        engine = engines.setdefault(bundle_id, open_engine("onnxruntime", bundle, threads=1))
        scores, masks = engine.begin([frame])()
        return bundle.decide(scores[0], masks[0], frame.shape).verdict.name

    return verdict
