"""From a checkpoint to a bundle. These tests need torch."""

import zipfile
from dataclasses import replace

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="torch is not installed: reading a checkpoint needs it")

from bundle import BundleError, InputSpec, Threshold, Tiling, load_bundle, write_bundle  # noqa: E402
from edge.engines.registry import open_engine  # noqa: E402
from export.bundles.assemble import assemble, drawn_frames  # noqa: E402
from export.cli import app  # noqa: E402
from export.errors import ComparisonError, GraphError, LabelsError  # noqa: E402
from export.graph.cleanup import to_bytes  # noqa: E402
from export.graph.from_checkpoint import read_source  # noqa: E402
from export.graph.signature import check_graph  # noqa: E402
from train.data.splits import Split  # noqa: E402
from train.errors import CheckpointError  # noqa: E402
from train.models.build import make_network  # noqa: E402
from train.models.checkpoint import Checkpoint, Meta, save_checkpoint  # noqa: E402
from train.network_recipe import NetworkRecipe  # noqa: E402
from train.recipe import Recipe  # noqa: E402

CLASSES = ("dent", "scratch", "stain")


METRICS = {"val": {"images": 9, "mean_recall": 0.5, "classes": [{"name": name, "positives": 2} for name in CLASSES]}}


def write_checkpoint(path, channels=1, height=64, width=48, tiles=None, **network_values):
    """A small CAN with weights and running statistics as if it were trained."""
    torch.manual_seed(7)
    torch.set_num_threads(1)
    numbers = {"mean": (0.4, 0.5, 0.6)[:channels], "deviation": (0.2, 0.25, 0.3)[:channels]}
    recipe = Recipe(
        name="tiny",
        input=InputSpec(height=height, width=width, channels=channels, tiles=tiles),
        network=NetworkRecipe(width=8, pooling=4, **numbers, **network_values),
    )
    network = make_network(recipe.network, channels, len(CLASSES)).train()
    with torch.no_grad():
        for _ in range(5):
            network(torch.randint(0, 256, (4, channels, height, width), dtype=torch.uint8))
        network.body.head.weight.mul_(30)  # so that probabilities span 0 to 1
        network.body.head.bias.fill_(0.1)
    meta = Meta(
        recipe=recipe,
        classes=CLASSES,
        split=Split(kind="by-part", seed=1, images={"ab": "train", "cd": "test"}),
        thresholds={name: Threshold(score=0.25 * (1 + place)) for place, name in enumerate(CLASSES)},
        epoch=5,
        metrics=METRICS,
        data="drawn",
        citation="Paper, 2026",
        software={"torch": "another"},
    )
    save_checkpoint(Checkpoint(meta, network.state_dict()), path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "best.pt")


@pytest.fixture(scope="module")
def source(checkpoint):
    return read_source(checkpoint)


@pytest.fixture(scope="module")
def model(source):
    return source.to_onnx()


@pytest.fixture(scope="module")
def bundle(checkpoint, tmp_path_factory):
    """Bundle that the command makes of the checkpoint."""
    out = tmp_path_factory.mktemp("bundles") / "tiny"
    result = CliRunner().invoke(app, ["bundle", str(checkpoint), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    return load_bundle(out)


def random_frames(count, spec, seed=0):
    size = (count, spec.channels, spec.height, spec.width)
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def test_the_graph_has_only_plain_operators(model):
    plain = {"Add", "AveragePool", "Cast", "Concat", "Conv", "Floor", "LeakyRelu", "Mul", "ReduceMax", "Sigmoid"}
    assert {node.op_type for node in model.graph.node} == plain


def test_batch_normalisation_is_folded(model):
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 14
    assert all(len(node.input) == 3 for node in model.graph.node if node.op_type == "Conv")


def test_names_are_those_of_the_modules(model):
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions == [*(f"layers.{number}.0" for number in range(13)), "head"]


def test_nothing_of_this_machine_is_in_the_graph(model):
    content = to_bytes(model)
    assert b"site-packages" not in content
    assert b".py" not in content


@pytest.mark.parametrize(
    "metrics",
    [{}, {"val": {"images": 15, "classes": [{"name": name, "positives": 0} for name in CLASSES]}}, {"val": {}}],
    ids=["none", "good-images-alone", "empty"],
)
def test_a_network_that_was_never_measured_on_a_defect_gets_no_bundle(source, metrics):
    blind = replace(source, meta=source.meta.model_copy(update={"metrics": metrics}))
    with pytest.raises(LabelsError, match="found no image with a defect"):
        assemble(blind, "blind", drawn_frames(source.input))


def test_a_second_export_gives_the_same_bytes(source, model):
    assert to_bytes(source.to_onnx()) == to_bytes(model)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_bundle_says_what_torch_says(source, bundle, count):
    frames = random_frames(count, bundle.manifest.input)
    scores, masks = open_engine("onnxruntime", bundle, threads=1).infer(frames)
    expected_scores, expected_masks = source.infer(frames)
    assert scores.shape == (count, 3)
    assert masks.shape == (count, 3, 16, 12)
    assert np.abs(scores - expected_scores).max() < 1e-5  # float32, another order of summation
    assert np.abs(masks.astype(int) - expected_masks).max() <= 1  # a value within that of a half


def test_scores_are_the_maxima_of_probabilities_and_masks_are_rounded(source):
    frames = random_frames(2, source.input)
    scores, masks = source.infer(frames)
    inspector = make_network(source.meta.recipe.network, 1, 3).eval()
    inspector.body = source.network.body
    with torch.no_grad():
        p = torch.sigmoid(inspector(torch.from_numpy(frames))).double().numpy()
    assert np.abs(scores - p.max(axis=(2, 3))).max() < 1e-6
    clear = np.abs(p * 255 % 1 - 0.5) > 1e-3
    assert clear.mean() > 0.9
    assert (masks == np.floor(p * 255 + 0.5))[clear].all()


def test_colour_with_its_own_normalisation(tmp_path):
    source = read_source(write_checkpoint(tmp_path / "rgb.pt", channels=3, height=32, width=40, skip="add"))
    draft = assemble(source, "rgb", drawn_frames(source.input))
    assert draft.manifest.input.channels == 3
    assert draft.manifest.masks.height == 8
    assert draft.manifest.made_from.comparison["onnxruntime with torch"]["largest_score_difference"] < 1e-5


def test_the_fine_network_with_each_image_s_own_normalisation(tmp_path):
    source = read_source(write_checkpoint(tmp_path / "fine.pt", model="can-fine", normalise="image"))
    draft = assemble(source, "fine", drawn_frames(source.input))
    assert (draft.manifest.masks.height, draft.manifest.masks.width) == (32, 24)
    assert draft.manifest.made_from.comparison["onnxruntime with torch"]["largest_score_difference"] < 1e-5


def test_separable_layers_are_two_convolutions_with_their_normalisation_folded(tmp_path):
    source = read_source(write_checkpoint(tmp_path / "separable.pt", separable=True))
    draft = assemble(source, "separable", drawn_frames(source.input))
    graph = onnx.load_model_from_string(draft.files["model.onnx"]).graph
    groups = [
        next((one.i for one in node.attribute if one.name == "group"), 1)
        for node in graph.node
        if node.op_type == "Conv"
    ]
    assert groups == [1, *[8, 1] * 7, *[16, 1] * 5, 1]  # width 8; five layers read two joined ones
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    assert draft.manifest.made_from.comparison["onnxruntime with torch"]["largest_score_difference"] < 1e-5


def test_another_size_than_the_recipe_s(checkpoint):
    source = read_source(checkpoint, (36, 52))
    assert (source.input.height, source.input.width, source.input.channels) == (36, 52, 1)
    frames = random_frames(1, source.input)
    assert source.infer(frames)[1].shape == (1, 3, 9, 13)
    assert source.meta.input.height == 64  # what it was trained with


def test_a_size_that_the_pooling_does_not_divide_is_refused(checkpoint):
    with pytest.raises(GraphError, match=r"size 36x50 .*expected sides that 4 divides"):
        read_source(checkpoint, (36, 50))


def test_the_manifest_says_where_the_bundle_comes_from(bundle, source):
    made_from = bundle.manifest.made_from
    assert bundle.manifest.name == "tiny"
    assert bundle.manifest.classes == CLASSES
    assert bundle.manifest.thresholds["scratch"].score == 0.5
    assert made_from.recipe["network"]["width"] == 8
    assert made_from.checkpoint_sha256 == source.sha256
    assert made_from.split["images"] == {"ab": "train", "cd": "test"}
    assert made_from.metrics == METRICS
    assert made_from.citation == "Paper, 2026"
    assert {"onnx", "onnxruntime", "torch", "torch (training)"} <= set(made_from.software)


def test_the_golden_frames_are_a_good_part_and_defective_ones(bundle):
    assert len(bundle.golden.frames) == 3
    peaks = bundle.golden.scores.max(axis=1)
    assert peaks[0] < peaks[1:].min()


def test_an_engine_that_answers_nothing_is_found_out(bundle):
    from bundle import GoldenMismatch

    with pytest.raises(GoldenMismatch):
        bundle.check(lambda frames: (np.zeros((1, 3), np.float32), np.zeros((1, 3, 16, 12), np.uint8)))


def test_a_network_in_tiles_has_a_graph_of_one_tile_and_outputs_of_whole_pictures(tmp_path):
    tiles = Tiling(height=32, width=48, overlap=8, batch=3)
    source = read_source(write_checkpoint(tmp_path / "tiled.pt", height=120, width=96, tiles=tiles))
    draft = assemble(source, "tiled", drawn_frames(source.input))
    sealed = write_bundle(tmp_path / "tiled", draft.manifest, draft.files)
    assert (sealed.format, sealed.masks.height, sealed.masks.width) == (2, 30, 24)
    assert sealed.made_from.comparison["onnxruntime with torch"]["largest_score_difference"] < 1e-5
    assert sealed.made_from.recipe["input"]["tiles"] == tiles.model_dump()
    bundle = load_bundle(tmp_path / "tiled")
    frames = random_frames(2, bundle.manifest.input)
    scores, masks = open_engine("onnxruntime", bundle, threads=1).infer(frames)
    expected_scores, expected_masks = source.infer(frames)
    assert np.abs(scores - expected_scores).max() < 1e-5  # float32, another order of summation
    assert np.abs(masks.astype(int) - expected_masks).max() <= 1  # a value within that of a half


def test_a_size_for_tiles_is_that_of_the_picture(tmp_path):
    tiles = Tiling(height=32, width=48, overlap=8)
    path = write_checkpoint(tmp_path / "tiled.pt", height=120, width=96, tiles=tiles)
    assert read_source(path, (200, 120)).input == InputSpec(height=200, width=120, channels=1, tiles=tiles)
    with pytest.raises(GraphError, match=r"expected sides that 4 divides: set input\.crop"):
        read_source(path, (202, 120))


def test_a_network_that_changed_on_the_way_is_refused(source, model):
    class Other:
        """A source whose torch network says the opposite."""

        meta, sha256, input = source.meta, source.sha256, source.input

        def to_onnx(self):
            return model

        def infer(self, inputs):
            scores, masks = source.infer(inputs)
            return 1 - scores, 255 - masks

    with pytest.raises(ComparisonError, match="differs from torch"):
        assemble(Other(), "other", drawn_frames(source.input))


def test_an_existing_folder_is_refused_before_any_work(checkpoint, tmp_path):
    with pytest.raises(BundleError, match="exists already"):
        CliRunner().invoke(app, ["bundle", str(checkpoint), "--out", str(tmp_path)], catch_exceptions=False)


def test_a_changed_byte_of_the_weights_is_found(checkpoint, tmp_path):
    content = bytearray(checkpoint.read_bytes())
    with zipfile.ZipFile(checkpoint) as members:
        largest = max(members.infolist(), key=lambda member: member.file_size)
    content[largest.header_offset + 400] ^= 1
    (tmp_path / "changed.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"wrong checksum of .*copy it again"):
        read_source(tmp_path / "changed.pt")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_checkpoint_is_refused(checkpoint, tmp_path, share):
    content = checkpoint.read_bytes()
    (tmp_path / "short.pt").write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"short\.pt"):
        read_source(tmp_path / "short.pt")


def test_weights_of_another_network_are_refused(checkpoint, tmp_path):
    stored = torch.load(checkpoint, weights_only=True)
    stored["weights"].pop("body.head.bias")
    torch.save(stored, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="do not fit"):
        read_source(tmp_path / "other.pt")


def test_the_graph_is_checked_by_the_same_contract(model, source):
    sizes = check_graph(model, source.input, CLASSES)
    assert (sizes.height, sizes.width) == (16, 12)
    assert isinstance(onnx.load_from_string(to_bytes(model)), onnx.ModelProto)
