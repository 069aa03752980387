"""`engine = "cpu"`: the fastest processor engine on this machine that agrees with the reference, measured once."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from time import perf_counter

import numpy as np
from pydantic import ValidationError, model_validator

from bundle import Bundle, FrozenModel, Golden, GoldenMismatch, Image
from bundle.golden import compare
from edge.engines.engine import Engine
from edge.engines.engine_cache import EngineCache
from edge.engines.processor import processor_name
from edge.engines.registry import DEFAULT_ENGINE, ENGINES, EngineKind, load_opener, open_checked
from edge.errors import EngineError

log = logging.getLogger(__name__)

REFERENCE = DEFAULT_ENGINE
"""The engine that the others are held against."""
RUNS, WARM_UP, LEAST_RUNS = 20, 2, 3
MOST_S = 20.0
"""Time of the measurement, past its first runs."""
WORTH_IT = 0.97
"""Another engine is taken if it needs at most this share of the reference's time; smaller gains are noise."""
COARSER = "fewer bits than the bundle's: taken only where it is named"
"""Objection to an engine that is `coarser`, also where it agrees. In bfloat16 another defective picture of 37 of the
Magnetic Tile test part passed."""
NOISE_SEED = 7
ENGINES_REVISION = 6
"""Raised when an engine here computes otherwise than before, so that kept choices are made again."""

IN_FLOAT32 = "edge.engines.onnxruntime_cpu:open_in_float32"
"""Opens an INT8 bundle in float32, whose time is compared; the results of such a bundle are never computed so."""

Clock = Callable[[], float]


class ChoiceKey(FrozenModel):
    """Everything that a choice depends on."""

    bundle_id: str
    processor: str
    threads: int | None
    versions: dict[str, str]
    """Engine -> version of its package; empty where it is not installed."""
    revision: int


class EngineTrial(FrozenModel):
    """One engine on this machine."""

    engine: str
    frame_ms: float | None
    """Median of a frame; None where it was not measured."""
    objection: str = ""
    """Reason why it is not taken; empty where it could be."""

    @property
    def could_be_taken(self) -> bool:
        """Whether it was measured without an objection."""
        return self.frame_ms is not None and not self.objection

    def __str__(self) -> str:
        if self.frame_ms is None:
            return f"{self.engine}: {self.objection}"
        told = f"{self.engine} {self.frame_ms:.2f} ms a frame"
        return f"{told} ({self.objection})" if self.objection else told


class ProcessorChoice(FrozenModel):
    """The engine to use for one bundle on this machine, with its reason."""

    key: ChoiceKey
    chosen: str
    trials: tuple[EngineTrial, ...]
    float32_ms: float | None = None
    """Median of a frame of an INT8 bundle's network in float32; None for another bundle."""

    @model_validator(mode="after")
    def _chosen_could_be_taken(self) -> "ProcessorChoice":
        if not any(trial.engine == self.chosen and trial.could_be_taken for trial in self.trials):
            raise ValueError(f"chosen: found {self.chosen}, expected an engine that was measured without an objection")
        return self

    def __str__(self) -> str:
        told = f"{self.chosen} chosen; {'; '.join(map(str, self.trials))}"
        chosen_ms = next((trial.frame_ms for trial in self.trials if trial.engine == self.chosen), None)
        if self.float32_ms is None or chosen_ms is None or self.float32_ms > WORTH_IT * chosen_ms:
            return told
        return (
            f"{told}; INT8 is slower here than float32, in which onnxruntime would take {self.float32_ms:.2f} ms: use "
            "the bundle that this one was calibrated from"
        )


def open_fastest(bundle: Bundle, threads: int | None, batch: int) -> Engine:
    """Open the engine of `choice_of`; the reference if that one fails now."""
    return open_choice(bundle, threads, batch, ENGINES, perf_counter)


def open_choice(
    bundle: Bundle, threads: int | None, batch: int, kinds: Mapping[str, EngineKind], clock: Clock
) -> Engine:
    """Open the chosen engine of a table; see `open_fastest`."""
    choice = choice_of(bundle, threads, kinds, clock)
    log.info("engine cpu: %s", choice)
    try:
        return _opened(choice.chosen, kinds, bundle, threads, batch)
    except (EngineError, GoldenMismatch) as error:
        if choice.chosen == REFERENCE:
            raise
        log.error("engine cpu: %s fails now, %s is used instead: %s", choice.chosen, REFERENCE, error)
    return _opened(REFERENCE, kinds, bundle, threads, batch)


def choice_of(
    bundle: Bundle,
    threads: int | None,
    kinds: Mapping[str, EngineKind] = ENGINES,
    clock: Clock = perf_counter,
    in_float32: str = IN_FLOAT32,
) -> ProcessorChoice:
    """Return the choice that is kept in the bundle's cache folder, or measure the engines and keep it.

    Raises EngineError or GoldenMismatch if the reference cannot be opened.
    """
    cache, key = EngineCache.of(bundle), choice_key(bundle, threads, kinds)
    name = "cpu-threads-any.json" if threads is None else f"cpu-threads-{threads}.json"
    kept = _read(cache, name)
    if kept is not None and kept.key == key and kept.chosen in key.versions:
        return kept
    choice = _measured(bundle, key, kinds, clock, in_float32)
    try:
        cache.write(name, choice.model_dump_json(indent=1).encode() + b"\n")
    except EngineError as error:
        log.warning("engine cpu: the choice is not kept and is made at every start: %s", error)
    return choice


def choice_key(bundle: Bundle, threads: int | None, kinds: Mapping[str, EngineKind]) -> ChoiceKey:
    """Return what a choice depends on, here and now."""
    packages = {name: kind.processor_package for name, kind in kinds.items() if kind.processor_package}
    versions = {name: _version(package) for name, package in packages.items()}
    return ChoiceKey(
        bundle_id=bundle.id, processor=processor_name(), threads=threads, versions=versions, revision=ENGINES_REVISION
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _read(cache: EngineCache, name: str) -> ProcessorChoice | None:
    try:
        content = cache.read(name)
        return None if content is None else ProcessorChoice.model_validate_json(content)
    except (OSError, ValidationError) as error:
        log.warning("%s: could not be read (%s), measured again", cache.folder / name, type(error).__name__)
        return None


def _measured(
    bundle: Bundle, key: ChoiceKey, kinds: Mapping[str, EngineKind], clock: Clock, in_float32: str
) -> ProcessorChoice:
    """Open every engine, hold it against the reference, measure those that agree in turn."""
    with ExitStack() as held:
        reference = _opened(REFERENCE, kinds, bundle, key.threads, 1)
        held.callback(reference.close)
        expected = _answers(bundle, reference)
        agreeing, objections = {REFERENCE: reference}, dict[str, str]()
        for name in key.versions:
            if name == REFERENCE:
                continue
            try:
                engine = _opened(name, kinds, bundle, key.threads, 1)
                held.callback(engine.close)
                _check_beside(engine, expected)
                agreeing[name] = engine
                if engine.coarser:
                    objections[name] = COARSER
            except (EngineError, GoldenMismatch) as error:
                objections[name] = str(error)
        measured = dict(agreeing)
        if bundle.manifest.precision == "int8":
            measured[in_float32] = load_opener(in_float32, EngineKind(in_float32))(bundle, key.threads, 1)
            held.callback(measured[in_float32].close)
        times = _frame_ms(bundle, measured, clock)
    float32_ms = times.pop(in_float32, None)
    fastest = min((name for name in times if name not in objections), key=lambda name: times[name])
    worth_it = times[fastest] <= WORTH_IT * times[REFERENCE]
    trials = [
        EngineTrial(engine=name, frame_ms=times.get(name), objection=objections.get(name, "")) for name in key.versions
    ]
    chosen = fastest if worth_it else REFERENCE
    return ProcessorChoice(key=key, chosen=chosen, trials=tuple(trials), float32_ms=float32_ms)


def _opened(name: str, kinds: Mapping[str, EngineKind], bundle: Bundle, threads: int | None, batch: int) -> Engine:
    """Open one engine, with its golden frames checked."""
    return open_checked(load_opener(name, kinds[name]), bundle, threads, batch)


def _answers(bundle: Bundle, reference: Engine) -> Golden:
    """Outputs of the reference for hard inputs: golden frames inverted, with full contrast, and noise."""
    inputs = list(hard_inputs(bundle))
    found = [reference.infer(frame[np.newaxis]) for frame in inputs]
    scores, masks = (np.concatenate([outputs[part] for outputs in found]) for part in (0, 1))
    return Golden(tuple(inputs), scores, masks)


def hard_inputs(bundle: Bundle) -> Iterator[Image]:
    """Inputs uint8 [C, H, W] with large activations, where 8-bit products saturate first."""
    for frame in bundle.golden.frames:
        made = bundle.prepare(frame)
        yield 255 - made
        yield np.where(made > np.median(made), np.uint8(255), np.uint8(0))
    yield np.random.default_rng(NOISE_SEED).integers(0, 256, made.shape, dtype=np.uint8)


def _check_beside(engine: Engine, expected: Golden) -> None:
    """Raise GoldenMismatch if an engine differs from the reference beyond its tolerance."""
    compare(expected, engine.infer, expected.frames, engine.tolerance)


def _frame_ms(bundle: Bundle, engines: Mapping[str, Engine], clock: Clock) -> dict[str, float]:
    """Median time of a frame for each engine, measured in turn, because the machine may be busy with other work."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    frames: Sequence[Image] = bundle.golden.frames
    begin = clock()
    for number in range(WARM_UP + RUNS):
        for name, engine in engines.items():
            start = clock()
            engine.begin([frames[number % len(frames)]])()
            times[name].append(1e3 * (clock() - start))
        if number >= WARM_UP + LEAST_RUNS and clock() - begin > MOST_S:
            break
    return {name: median(values[WARM_UP:]) for name, values in times.items()}
