"""Training recipe: a frozen, validated model, read from TOML with overrides from the command line."""

import math
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from bundle import ExposureRule, FrozenModel, InputSpec, TileGrid, first_problem
from bundle.toml_text import TomlError, parse_toml
from train.data.image_set import Draw
from train.data.splits import Kind
from train.errors import RecipeError
from train.network_recipe import NetworkRecipe

Schedule = Literal["classification-first", "segmentation-first", "constant"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


class LossRecipe(FrozenModel):
    """Schedule, positive weights per class in channel order (empty: 1 each), extra terms."""

    schedule: Schedule = "classification-first"
    share: float = Field(default=0.5, ge=0, le=1)
    """Weight of the classification term in a constant schedule."""
    class_weights: tuple[float, ...] = ()
    mask_weights: tuple[float, ...] = ()
    area_weights: bool = False
    """Weight the pixels of each defect by its size instead of `mask_weights`; see train/losses.py."""
    pool_cells: int = Field(default=1, ge=1)
    """Classification: mean of this many largest logits of a class instead of the maximum, so that more cells than one
    get a gradient."""
    dice: float = Field(default=0.0, ge=0)
    dice_over: Literal["image", "batch"] = "image"
    """Dice loss of each positive image and class, or of each class over the batch."""
    union: float = Field(default=0.0, ge=0)
    detection: float = Field(default=0.0, ge=0)
    """Defect or not, whatever the class; see train/losses.py."""
    naming: float = Field(default=0.0, ge=0)
    """Class of each defect, whatever its size; see train/losses.py."""
    teacher_share: float = Field(default=0.5, ge=0, le=1)
    """Share of the loss against the masks of a teacher, where there is one (`train --teacher`)."""


class OptimiserRecipe(FrozenModel):
    """AdamW optimiser and learning-rate schedule."""

    learning_rate: float = Field(default=5e-4, gt=0)
    encoder_rate: float = Field(default=1.0, ge=0, le=1)
    """Share of the learning rate that a pretrained encoder's weights get."""
    frozen_stages: int = Field(default=0, ge=0, le=5)
    """First stages of the encoder of "can-lite" and "unet-lite" that keep their weights and their running means and
    deviations, the stem with them."""
    beta1: float = Field(default=0.99, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    curve: Literal["constant", "cosine"] = "constant"
    warmup_epochs: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=0.0, ge=0)
    """Gradient clipping: largest norm; 0 is off."""
    freeze_batchnorm: bool = False
    """Freeze the running statistics of batch normalisation, for fine-tuning on few images."""


class AugmentRecipe(FrozenModel):
    """Random augmentation of each image of each batch."""

    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotate_degrees: float = Field(default=0.0, ge=0, le=180)
    scale: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of size."""
    shift: float = Field(default=0.0, ge=0, lt=1)
    """Largest shift along each axis, as a share of the side; edge pixels are repeated."""
    elastic: float = Field(default=0.0, ge=0, le=0.1)
    """Elastic deformation: largest displacement as a share of each side."""
    brightness: float = Field(default=0.0, ge=0, le=1)
    """Largest change of the mean, as a share of full scale."""
    contrast: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of the spread around the image's mean."""


class CropsRecipe(FrozenModel):
    """Guided crops: artificial training images, renewed every few epochs; sources are of the training part only."""

    images: int = Field(default=0, ge=0)
    """Number of artificial images; 0 is off."""
    every: int = Field(default=15, ge=1)
    """Epochs between two sets, and before the first one."""
    at_once: bool = False
    """Also generate a set before the first epoch, with uniform class probabilities."""
    guide: Literal["loss", "uniform"] = "loss"
    """Class probabilities proportional to the validation loss, or uniform."""
    drawn: float = Field(default=0.0, ge=0, le=1)
    """Share of the images with synthetic defects instead of pasted ones; classes: synthetic/artists.py."""
    blob_brightness: float = Field(default=0.1, ge=0, le=1)
    blob_contrast: float = Field(default=0.2, ge=0, lt=1)
    brightness: float = Field(default=0.1, ge=0, le=1)
    contrast: float = Field(default=0.2, ge=0, lt=1)
    shift: bool = True
    rotate_degrees: float = Field(default=0.0, ge=0, le=180)
    """Largest rotation of a blob that touches no edge."""
    blob_scale: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of a blob's scale."""
    elastic: float = Field(default=0.0, ge=0, le=0.5)
    """Elastic deformation of a blob: largest displacement as a share of the control points' spacing."""
    blend: Literal["none", "feather", "poisson"] = "none"
    keep_edges: bool = False
    """Paste a defect that touches an edge of its image at the same edge."""
    match_brightness: bool = False
    """Scale a blob's brightness by that of the base around it."""
    match_texture: bool = False
    """Of several positions, take the one with the brightness most similar to the blob's surroundings."""


class TileDrawsRecipe(FrozenModel):
    """Draws of training tiles from the pictures, where the input has tiles; renewed together with the guided crops."""

    per_picture: int = Field(default=8, ge=1)
    """Tiles of each picture."""
    defect_share: float = Field(default=0.5, ge=0, le=1)
    """Share of a defective picture's tiles that hold a defect, at a random place in the tile."""


class RunRecipe(FrozenModel):
    """Length of a run, batches, precision, selection of the best epoch."""

    epochs: int = Field(default=100, ge=1)
    batch: int = Field(default=16, ge=1)
    """Batch size of an optimiser step, over all devices."""
    epoch_images: int | None = Field(default=None, ge=1)
    """Images per epoch, a random subset for large data sets; None takes all."""
    accumulate: int = Field(default=1, ge=1)
    """Gradient accumulation: micro-batches per optimiser step on each device."""
    draw: Draw = "each"
    """Images of an epoch: "each" once; "balanced", rare classes more often; "halves", one half good images, the other
    half of each class alike, both with replacement."""
    precision: Precision = "auto"
    average: float = Field(default=0.0, ge=0, lt=1)
    """Decay per step of the exponential moving average of the weights; the average is stored. 0 is off."""
    best: str = "mean_iou_positives"
    """Validation metric that selects the best epoch."""
    patience: int = Field(default=0, ge=0)
    """Early stopping: epochs without improvement; 0 is off."""
    compile: bool = False
    """Compile the network with torch.compile."""


class ThresholdRecipe(FrozenModel):
    """Choice of the thresholds, on images that the network did not learn from."""

    choose: Literal["f1", "against-good", "max-escapes", "max-false-rejects", "fixed"] = "f1"
    shared: bool = False
    """One threshold and one mask level for all classes, chosen by defect or not: for networks whose classes share the
    score of a defect, where a wrong name must not set a threshold, and for classes of few images."""
    shrinkage: float = Field(default=0.0, ge=0, le=1000)
    """Weight of the threshold that all classes share, in parts, for "f1" and "against-good": a class with n defective
    parts gets n parts of its own and this many of the shared one, in log-odds (partial pooling: Gelman and Hill, Data
    Analysis Using Regression and Multilevel/Hierarchical Models, 2007, chapter 12). The mask level and the smallest
    area are those of the heavier one. A class may then have no image to choose on."""
    unit: Literal["picture", "part"] = "picture"
    """Unit of the goal: each picture, or a part by the worst of its views. By part is for lines that take
    several pictures of each."""
    exposures: ExposureRule = "worst"
    """Score of a picture: "worst" its own, "mean-odds" that of all pictures of its part together, whose odds are the
    mean of theirs. For data sets whose pictures of a part are exposures of one view, as those of one camera with
    `exposures` in line.toml; the bundle says so to the station. Masks stay each picture's own."""
    folds: int = Field(default=1, ge=1, le=10)
    """More than 1, of "patch-classifier": before the network that is kept it is fitted this often, each time without
    another group of parts, and the thresholds are chosen on its outputs for that group (cross-validation). The
    validation part is learnt as well: alone it has few parts."""
    limit: float = Field(default=0.0, ge=0, le=1)
    """Largest share of escapes or false rejects, for "max-escapes" and "max-false-rejects"."""
    score: float = Field(default=0.5, ge=0, le=1)
    """Score threshold for "fixed", and for classes below `least_f1`."""
    least_f1: float = Field(default=0.0, ge=0, le=1)
    """A class whose best F1 is below this gets the threshold `score`, since its best threshold would reject nearly all
    images."""
    levels: tuple[Annotated[int, Field(ge=1, le=255)], ...] = Field(default=(128,), min_length=1)
    """Candidate mask levels; chosen by the pooled IoU of the class's validation images."""
    min_area_px: float = Field(default=0.0, ge=0)
    areas_px: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Candidate smallest areas instead of `min_area_px`, for "f1" and "against-good"."""

    @property
    def shrinks(self) -> bool:
        """Whether thresholds of classes come near that of all; a limit of errors is kept by each class's own."""
        return self.shrinkage > 0 and self.choose in ("f1", "against-good")

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Read the recipes of earlier checkpoints."""
        if content.get("choose") == "union":
            return content | {"choose": "against-good", "shared": True}
        return content


class Recipe(FrozenModel):
    """All settings of a training run except the data."""

    name: str
    seed: int = Field(default=0, ge=0)
    split: Kind = "by-part"
    follow: Literal["nothing", "pictures"] = "nothing"
    """Take channels, mean and deviation from the training images; a value that is overridden stands."""
    input: InputSpec
    network: NetworkRecipe = NetworkRecipe()
    loss: LossRecipe = LossRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    crops: CropsRecipe = CropsRecipe()
    tile_draws: TileDrawsRecipe = TileDrawsRecipe()
    run: RunRecipe = RunRecipe()
    thresholds: ThresholdRecipe = ThresholdRecipe()

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        for key, value in _flat(self.model_dump()).items():
            numbers = value if isinstance(value, tuple) else (value,)
            if not all(math.isfinite(number) for number in numbers if isinstance(number, float)):
                raise ValueError(f"{key}: found {value}, expected a finite number")
        channels, cell, seen = self.input.channels, self.network.cell_px, self.input.network
        if seen.height % cell or seen.width % cell:
            what = "an input" if self.input.tiles is None else "tiles"
            raise ValueError(
                f"found {what} of {seen.height}x{seen.width} with {self.network.model}, whose cells are "
                f"{cell} pixels wide (network.pooling); expected sides that {cell} divides"
            )
        self._check_tiles()
        if self.thresholds.folds > 1 and not (self.network.model == "patch-classifier" or self.network.is_decided):
            raise ValueError(
                f"found thresholds.folds {self.thresholds.folds} with {self.network.model}, expected 1: only "
                "patch-classifier is fitted fast enough; for others take `train split --folds` and `train thresholds`"
            )
        if {len(self.network.mean), len(self.network.deviation)} != {channels}:
            raise ValueError(
                f"found network.mean {self.network.mean} and network.deviation {self.network.deviation}, "
                f"expected {channels} numbers each, one per input channel"
            )
        return self

    def _check_tiles(self) -> None:
        tiles, spec, step = self.input.tiles, self.input, self.network.mask_px
        if tiles is None:
            return
        if spec.height % step or spec.width % step:
            raise ValueError(
                f"found pictures of {spec.height}x{spec.width} in tiles with {self.network.model}, whose masks have "
                f"cells of {step} pixels; expected sides that {step} divides: set input.crop"
            )
        if (problem := tiles.problem(spec.height, spec.width, (step, step))) is not None:
            raise ValueError(f"input.{problem}")

    @property
    def good_only(self) -> bool:
        """Whether the network learns good parts alone; every defect is then of one class."""
        return self.network.is_memory

    @property
    def tile_grid(self) -> TileGrid | None:
        """Places of the tiles in a picture; None without tiles."""
        return self.network.tile_grid(self.input)

    def check_classes(self, classes: tuple[str, ...]) -> None:
        """Raise RecipeError unless the positive weights are one per class."""
        for key in ("class_weights", "mask_weights"):
            weights = getattr(self.loss, key)
            if weights and len(weights) != len(classes):
                raise RecipeError(
                    f"recipe {self.name}: loss.{key}: found {len(weights)} weights, expected {len(classes)}, "
                    f"one per class {', '.join(classes)}; override it with --set loss.{key}=[...]"
                )


def first_difference(there: Recipe, here: Recipe) -> str:
    """First difference of two recipes, in brackets; empty if they are equal."""
    found, expected = _flat(there.model_dump()), _flat(here.model_dump())
    differing = [key for key in expected | found if found.get(key) != expected.get(key)]
    if not differing:
        return ""
    return f" ({differing[0]}: {found.get(differing[0])!r} there, {expected.get(differing[0])!r} here)"


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    files = resources.files("train").joinpath("recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Load a recipe by its name in the package, or by the path of a TOML file, with overrides `key=value`.

    A key has dots (`loss.dice`), a value is TOML; a bare word is text.
    Raises RecipeError for an unknown recipe, key or value.
    """
    return _overridden(_parsed(name) | {"name": Path(name).stem}, name, overrides)


def with_overrides(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """A recipe with overrides as in `load_recipe`. Raises RecipeError for an unknown key or value."""
    return _overridden(recipe.model_dump(), recipe.name, overrides)


def with_thresholds(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """A recipe of finished weights with overrides of its choice of thresholds. Raises RecipeError for any other."""
    given = list(overrides)
    other = [override for override in given if not override.startswith("thresholds.")]
    if other:
        raise RecipeError(f"--set {other[0]}: found a value that the weights depend on, expected thresholds.KEY=VALUE")
    return with_overrides(recipe, given)


_FOLLOWED = {"input.channels", "network.mean", "network.deviation"}
"""Keys of what a recipe can take from the pictures."""


def _overridden(content: dict[str, Any], name: str, overrides: Iterable[str]) -> Recipe:
    for override in overrides:
        _override(content, override)
        if override.partition("=")[0].strip() in _FOLLOWED:
            content["follow"] = "nothing"
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"recipe {name}: {_problem(error)}") from None


def _parsed(name: str) -> dict[str, Any]:
    packaged = resources.files("train").joinpath("recipes").joinpath(f"{name}.toml")
    try:
        return parse_toml((packaged if packaged.is_file() else Path(name)).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise RecipeError(
            f"recipe {name}: found no such recipe or file, expected one of {', '.join(recipe_names())}, or a TOML file"
        ) from None
    except OSError as error:
        raise RecipeError(f"recipe {name}: cannot be read ({error.strerror}); expected a TOML file") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"recipe {name}: found bytes that are not UTF-8 ({error}); save it as UTF-8") from None
    except TomlError as error:
        raise RecipeError(f"recipe {name}: {error}; expected a TOML file") from None


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    shown = " ".join(override.split())
    if not equals:
        raise RecipeError(f"--set {shown}: found no equals sign, expected key=value, such as run.epochs=20")
    *tables, last = key.strip().split(".")
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise RecipeError(
                f"--set {shown}: {' '.join(table.split())} is a value, expected a table; see the recipe's file"
            )
    try:
        content[last] = parse_toml(f"value = {value}")["value"]
    except TomlError:
        content[last] = value.strip()


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] != "extra_forbidden":
        return first_problem(error)
    allowed = ", ".join(_fields(Recipe, first["loc"][:-1]))
    return f"{first_problem(error)}, expected one of {allowed}"


def _fields(model: type[BaseModel], path: tuple[int | str, ...]) -> Mapping[str, Any]:
    for key in path:
        annotation = model.model_fields[str(key)].annotation
        for inner in (annotation, *get_args(annotation)):  # a table, or one that may be absent
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                model = inner
    return model.model_fields


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
