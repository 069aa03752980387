"""Addresses: credentials are found, and never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.address import credentials_of, kind_of, options_of, place_of, shown
from edge.cameras.registry import open_camera
from edge.cameras.rtsp import stream_of
from edge.errors import CameraError

SECRET = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="'\""), min_size=6, max_size=20
).map(lambda text: f"S3c{text}Ret")
USER = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)
KINDS = st.sampled_from(["rtsp", "rtsps", "http", "RTSP", "unknown"])


@given(KINDS, USER, SECRET)
def test_a_password_is_never_shown(kind: str, user: str, secret: str) -> None:
    address = f"{kind}://{user}:{secret}@10.0.0.7:554/live?latency_ms=50"

    assert shown(address) == f"{kind}://10.0.0.7:554/live?latency_ms=50"
    assert credentials_of(address) == f"{user}:{secret}"
    assert place_of(address) == "10.0.0.7:554/live"
    assert options_of(address) == "latency_ms=50"


@given(USER, SECRET)
def test_a_password_within_a_pipeline_is_never_shown(user: str, secret: str) -> None:
    address = f"gst://rtspsrc location=rtsp://{user}:{secret}@10.0.0.7/live ! rtph264depay ! decodebin"

    assert shown(address) == "gst://rtspsrc location=rtsp://10.0.0.7/live ! rtph264depay ! decodebin"


@given(USER, SECRET)
def test_a_password_of_a_mistyped_address_is_not_shown(user: str, secret: str) -> None:
    assert secret not in shown(f"rtsp:{user}:{secret}@10.0.0.7/live".replace("://", ":"))


@given(USER, SECRET, st.sampled_from(["nonsense=1", "latency_ms=-1", "latency_ms=1&latency_ms=2", "width"]))
def test_no_error_of_a_camera_shows_the_password(user: str, secret: str, options: str) -> None:
    for kind in ("rtsp", "unknown"):
        with pytest.raises(CameraError) as caught:
            open_camera(f"{kind}://{user}:{secret}@127.0.0.1:1/live?{options}")

        assert secret not in str(caught.value)
        assert "127.0.0.1:1/live" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "file:///pictures/line@2/day?loop=1",
        "v4l2:///dev/video0?width=640",
        "genicam://123?cti=/opt/vendor@2/producer.cti",
        "aravis://user@camera",
        "synthetic://?seed=7",
        "rtsp://10.0.0.7/live?latency_ms=50",
        "gst://videotestsrc ! video/x-raw,width=640",
    ],
)
def test_an_address_without_a_password_is_shown_as_it_is(address: str) -> None:
    assert shown(address) == address
    assert credentials_of(address) == ""


@pytest.mark.parametrize(
    ("address", "stream"),
    [
        ("rtsp://10.0.0.7/live?latency_ms=5", "rtsp://10.0.0.7/live"),
        ("rtsp://10.0.0.7/live%3Fchannel=1?latency_ms=5", "rtsp://10.0.0.7/live?channel=1"),
        ("rtsp://admin:S3cret/1@10.0.0.7/live", "rtsp://admin:S3cret%2F1@10.0.0.7/live"),
        ("rtsp://admin:a?b@c#d@10.0.0.7/live?latency_ms=5", "rtsp://admin:a%3Fb%40c%23d@10.0.0.7/live"),
        ("rtsp://admin:a%40b@10.0.0.7/live", "rtsp://admin:a%40b@10.0.0.7/live"),
    ],
)
def test_the_stream_has_the_credentials_in_a_form_that_a_camera_reads(address: str, stream: str) -> None:
    assert stream_of(address) == stream
    assert kind_of(address) == "rtsp"
