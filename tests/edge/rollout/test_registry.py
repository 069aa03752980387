"""A registry that is away, cut, a stranger's or changed: nothing is taken from it."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'edge-inspect[release]'")

from edge.errors import ReleaseError
from edge.rollout.store import RolloutStore
from tests.edge.access.certificates import Authority
from tests.edge.forwarding.cutting_proxy import CuttingProxy
from tests.edge.forwarding.waiting import silent_peer
from tests.edge.rollout.registry import PASSWORD, USER, Registry, running_registry
from tests.edge.rollout.token_server import ALL, TokenServer

BUNDLE_ID = "ab" * 32
MODEL = bytes(range(256)) * 2000


@pytest.fixture(scope="module", params=[False, True], ids=["basic", "token"])
def registry(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry"), with_tokens=request.param) as registry:
        yield registry


@pytest.fixture
def tokens(registry: Registry) -> Iterator[TokenServer]:
    """The registry's token server, which a test may make answer otherwise."""
    tokens = registry.tokens
    assert tokens is not None
    yield tokens
    tokens.allowed, tokens.answer = ALL, None


@pytest.fixture
def repository(tmp_path: Path) -> str:
    return f"rollouts/{tmp_path.name.lower()}"


@pytest.fixture
def store(registry: Registry, repository: str) -> RolloutStore:
    return registry.store(repository)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The files of a bundle, which a store copies as they are."""
    folder = tmp_path / "bundle"
    (folder / "golden").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(MODEL)
    (folder / "golden" / "frame0.png").write_bytes(b"frame")
    (tmp_path / "bundle.sig").write_bytes(b"signature")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_comes_back_with_its_signature_beside_it(store: RolloutStore, bundle: Path) -> None:
    store.add_bundle(bundle, BUNDLE_ID)
    with store.bundle(BUNDLE_ID) as found:
        assert content(found) == {"model.onnx": MODEL, "golden/frame0.png": b"frame"}
        assert found.with_name(f"{found.name}.sig").read_bytes() == b"signature"
    assert not found.exists()


def test_a_document_is_replaced(store: RolloutStore) -> None:
    assert store.read("rollout") is None
    for words in (b"first", b"second"):
        store.write("rollout", words)
        assert store.read("rollout") == words


WITH_TOKENS = pytest.mark.parametrize("registry", [True], ids=["token"], indirect=True)


def wrong_password(registry: Registry, repository: str) -> RolloutStore:
    return registry.store(repository, password="guessed")


def other_authority(registry: Registry, repository: str) -> RolloutStore:
    return registry.store(repository, ca_file=Authority(registry.content.parent / "other").file)


def other_host(registry: Registry, repository: str) -> RolloutStore:
    return registry.store(repository, place=f"127.0.0.1:{registry.port}")


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (wrong_password, "refused user 'line3'"),
        (
            other_authority,
            r"/[a-z0-9._-]+: the certificate is refused \(unable to get local issuer certificate\); check",
        ),
        (other_host, r": the certificate is refused \(IP address mismatch, certificate is not valid for '127.0.0.1'\)"),
    ],
)
def test_who_is_not_let_in_is_told_why(
    registry: Registry, repository: str, wrong: Callable[[Registry, str], RolloutStore], problem: str
) -> None:
    store = wrong(registry, repository)
    for attempt in (lambda: store.read("rollout"), lambda: store.write("rollout", b"")):
        with pytest.raises(ReleaseError, match=problem) as raised:
            attempt()
        assert "guessed" not in str(raised.value)
        assert PASSWORD not in str(raised.value)


def test_a_registry_without_a_user_says_what_it_needs(registry: Registry, repository: str) -> None:
    store = registry.store(repository, user="", password="")
    with pytest.raises(ReleaseError, match="refused anonymous access; give --user and --password-file"):
        store.read("rollout")


@WITH_TOKENS
def test_a_user_who_may_only_pull_is_told_so(store: RolloutStore, tokens: TokenServer) -> None:
    tokens.allowed = frozenset({"pull"})
    assert store.read("rollout") is None
    with pytest.raises(ReleaseError, match="check password and the right to pull and push"):
        store.write("rollout", b"")


@WITH_TOKENS
@pytest.mark.parametrize("answer", [{}, [], "token", {"token": 5}], ids=str)
def test_an_answer_without_a_token_is_an_error_of_this_pull(
    store: RolloutStore, tokens: TokenServer, answer: object
) -> None:
    tokens.answer = answer
    with pytest.raises(ReleaseError, match="found no token in the answer of the registry's token server"):
        store.read("rollout")


@WITH_TOKENS
def test_a_token_server_of_another_authority_is_not_asked(registry: Registry, repository: str, tmp_path: Path) -> None:
    stranger = TokenServer(Authority(tmp_path / "stranger"), USER, PASSWORD)
    registry.hand_over(stranger)
    try:
        with pytest.raises(ReleaseError, match="the certificate is refused") as raised:
            registry.store(repository).read("rollout")
        assert PASSWORD not in str(raised.value)
        assert stranger.asked == 0
    finally:
        stranger.close()
        assert registry.tokens is not None
        registry.hand_over(registry.tokens)


def test_a_blob_that_was_changed_in_the_registry_is_not_taken(
    registry: Registry, store: RolloutStore, bundle: Path
) -> None:
    (bundle / "model.onnx").write_bytes(MODEL + b"of this test")
    store.add_bundle(bundle, BUNDLE_ID)
    registry.blob(MODEL + b"of this test").write_bytes(MODEL + b"of that test")
    with pytest.raises(ReleaseError, match="expected digest"), store.bundle(BUNDLE_ID):
        pytest.fail("it was given out")


@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")  # dxf cannot close a download half-way
def test_a_longer_blob_than_its_manifest_says_is_not_taken(
    registry: Registry, store: RolloutStore, bundle: Path
) -> None:
    (bundle / "model.onnx").write_bytes(MODEL + b"long")
    store.add_bundle(bundle, BUNDLE_ID)
    registry.blob(MODEL + b"long").write_bytes((MODEL + b"long") * 2)
    with pytest.raises(ReleaseError, match="found more bytes"), store.bundle(BUNDLE_ID):
        pytest.fail("it was given out")
    gc.collect()  # of the socket, in this test


def test_files_elsewhere_than_in_the_bundle_are_refused(store: RolloutStore, bundle: Path) -> None:
    (bundle / ".hidden").write_bytes(b"")
    store.add_bundle(bundle, BUNDLE_ID)
    with pytest.raises(ReleaseError, match=r"found the file '.*/\.hidden'"), store.bundle(BUNDLE_ID):
        pytest.fail("it was given out")


def test_downloads_that_are_cut_are_made_again(
    registry: Registry, store: RolloutStore, repository: str, bundle: Path
) -> None:
    store.add_bundle(bundle, BUNDLE_ID)
    proxy = CuttingProxy(registry.port, cuts=3, after_bytes=300_000, of_server=True)
    cut = registry.store(repository, place=f"localhost:{proxy.port}")
    for _ in range(3):
        with pytest.raises(ReleaseError), cut.bundle(BUNDLE_ID):
            pytest.fail("it was given out")
    with cut.bundle(BUNDLE_ID) as found:
        assert (found / "model.onnx").read_bytes() == MODEL
    proxy.close()


def test_uploads_that_are_cut_are_made_again(registry: Registry, repository: str, bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes(MODEL + b"upload")
    proxy = CuttingProxy(registry.port, cuts=2, after_bytes=300_000)
    cut = registry.store(repository, place=f"localhost:{proxy.port}")
    for _ in range(2):
        with pytest.raises(ReleaseError):
            cut.add_bundle(bundle, BUNDLE_ID)
        assert registry.store(repository).read("rollout") is None
    cut.add_bundle(bundle, BUNDLE_ID)
    with cut.bundle(BUNDLE_ID) as found:
        assert (found / "model.onnx").read_bytes() == MODEL + b"upload"
    proxy.close()


def test_a_registry_that_hangs_or_is_away_is_an_error_of_this_pull(registry: Registry, repository: str) -> None:
    with silent_peer() as port, pytest.raises(ReleaseError, match="timed out"):
        registry.store(repository, place=f"localhost:{port}").read("rollout")
    registry.store(repository).write("rollout", b"kept")
    registry.stop()
    with pytest.raises(ReleaseError, match=r": cannot be reached \(Connection refused\); check"):
        registry.store(repository).read("rollout")
    registry.start()
    assert registry.store(repository).read("rollout") == b"kept"
