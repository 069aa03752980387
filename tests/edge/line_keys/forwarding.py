"""Cases of `[mqtt]`, `[central]` and `[s3]`: what a peer gets from the process that the station would run."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ServerError
from edge.forwarding.secret import read_password
from tests.edge.line_keys.registry import observes
from tests.edge.running_line import Run

PATIENCE_S = 60.0


def connect(run: Run, context: ssl.SSLContext | None = None, **keys: object) -> tuple[Any, Any]:
    """Run a line, and let its MQTT client connect; the packet, and the broker."""
    pytest.importorskip("paho", reason="the MQTT client needs edge-inspect[mqtt]")
    from edge.mqtt.target import MqttTarget
    from tests.edge.mqtt.recorder import RecordingBroker

    broker = RecordingBroker(context)
    address = f"{'mqtts' if context else 'mqtt'}://127.0.0.1:{broker.port}"
    with run(mqtt={"broker": address, "station": "line3", **keys}) as line:
        target = MqttTarget(line.mqtt[0])

        def open_and_close() -> None:
            target._connection.open(PATIENCE_S)
            target._connection.close()

        return broker.connected(open_and_close), broker


@observes("mqtt.broker")
def address_of_the_broker(run: Run) -> None:
    packet, _ = connect(run)

    assert packet.texts[0] == "edge-inspect/line3/state"


@observes("mqtt.station")
def name_of_the_station(run: Run) -> None:
    packet, _ = connect(run, station="line4")

    assert (packet.client, packet.texts[0]) == ("line4", "edge-inspect/line4/state")


@observes("mqtt.topic")
def first_levels_of_the_topics(run: Run) -> None:
    packet, _ = connect(run, topic="plant/glaze")

    assert packet.texts[0] == "plant/glaze/line3/state"


@observes("mqtt.user")
def user_at_the_broker(run: Run) -> None:
    packet, _ = connect(run, user="mes")

    assert packet.texts[2:] == ["mes"]


@observes("mqtt.password_file")
def password_at_the_broker(run: Run) -> None:
    with run() as line:
        path = line.folder / "password"
    path.write_text("open sesame\n", encoding="utf-8")
    path.chmod(0o600)
    packet, _ = connect(run, user="mes", password_file="password")
    path.chmod(0o644)

    assert packet.texts[2:] == ["mes", "open sesame"]
    with pytest.raises(ServerError, match=r"password: found that every user may read or write it; chmod") as refused:
        read_password(path)
    assert "sesame" not in str(refused.value)


@observes("mqtt.commands")
def commands_of_the_broker(run: Run) -> None:
    found = {allowed: connect(run, commands=allowed)[1].topics for allowed in (False, True)}

    assert [b"edge-inspect/line3/command/+" in topic for topic in found[True]] == [True, False]
    assert [b"command" in topic for topic in found[False]] == [False]


def authority(folder: Path) -> tuple[dict[str, str], ssl.SSLContext]:
    """An identity that signs itself, and the context of a broker that has it and asks for it."""
    pytest.importorskip("cryptography", reason="certificates are made with edge-inspect[release]")
    pytest.importorskip("asyncua", reason="certificates are made with edge-inspect[opcua]")
    from tests.edge.opcua.doubles import make_identity

    paths = make_identity(folder, "broker", address="127.0.0.1")
    certificate = folder / "broker.pem.crt"
    certificate.write_text(ssl.DER_cert_to_PEM_cert(Path(paths["certificate"]).read_bytes()), encoding="utf-8")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, paths["private_key"])
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    return {"certificate": certificate.name, "private_key": Path(paths["private_key"]).name}, context


@observes("mqtt.ca_file")
def authorities_of_the_brokers_certificate(run: Run) -> None:
    with run() as line:
        files, context = authority(line.folder)
    packet, _ = connect(run, context, ca_file=files["certificate"])

    assert packet.client == "line3"


@observes("mqtt.certificate")
def certificate_of_the_station(run: Run) -> None:
    with run() as line:
        files, context = authority(line.folder)
    _, without = connect(run, context, ca_file=files["certificate"])
    _, broker = connect(run, context, ca_file=files["certificate"], **files)

    assert (without.certificate, broker.certificate) == (None, ((("commonName", "broker"),),))


@observes("mqtt.private_key")
def private_key_of_the_station(run: Run) -> None:
    with run() as line:
        files, _ = authority(line.folder)
    (line.folder / "other.pem").write_text("no key", encoding="utf-8")
    pytest.importorskip("paho", reason="the MQTT client needs edge-inspect[mqtt]")
    from edge.mqtt.target import MqttTarget

    keys = {"broker": "mqtts://127.0.0.1:1", "station": "line3", "ca_file": files["certificate"]}
    with run(mqtt={**keys, **files, "private_key": "other.pem"}) as line:
        target = MqttTarget(line.mqtt[0])
        with pytest.raises(ServerError, match=r"other.pem: found no PEM, or a key with a password"):
            target.open()
        target.close()


@observes("mqtt.sparkplug_group")
def group_of_sparkplug(run: Run) -> None:
    packet, _ = connect(run, sparkplug_group="plant")

    assert packet.texts[0] == "spBv1.0/plant/NDEATH/line3"


@observes("mqtt.sparkplug_host")
def primary_host_of_sparkplug(run: Run) -> None:
    _, broker = connect(run, sparkplug_group="plant", sparkplug_host="scada")

    assert any(b"spBv1.0/STATE/scada" in topic for topic in broker.topics)


def refused_by(run: Run, **keys: object) -> str:
    """Words of the writer of a line whose database is not there."""
    pytest.importorskip("psycopg", reason="the central records need edge-inspect[central]")
    from edge.central.target import CentralTarget

    with run(central={"database": "postgresql://me@127.0.0.1:1/quality", "station": "line3", **keys}) as line:
        target = CentralTarget(line.central[0])
        with pytest.raises(ServerError) as refused:
            target.open()
    return str(refused.value)


@observes("central.database")
def database_of_the_central_records(run: Run) -> None:
    assert refused_by(run).startswith("central records postgresql://127.0.0.1:1/quality: connection failed")


@observes("central.station")
def station_in_the_central_records(run: Run) -> None:
    with run(central={"database": "postgresql:///quality", "station": "line4"}) as line:
        assert json.loads(line.central[0].settings)["station"] == "line4"


@observes("central.password_file")
def password_of_the_database(run: Run) -> None:
    assert "none.txt: cannot be read (No such file or directory)" in refused_by(run, password_file="none.txt")


def uploaded_by(run: Run, **keys: object) -> list[tuple[str, str, str]]:
    """Let a line look for its bucket and upload a file; method, path and authorization of each request."""
    pytest.importorskip("boto3", reason="the upload of pictures needs edge-inspect[s3]")
    from edge.s3.target import PictureTarget
    from tests.edge.s3.recording_store import recording_store

    with recording_store() as store:
        required = {"endpoint": f"http://127.0.0.1:{store.server_port}", "bucket": "quality", "station": "line3"}
        with run(pictures={"folder": "kept"}, s3=required | SIGNED | keys) as line:
            (line.folder / "secret").write_text("sesame\n", encoding="utf-8")
            (line.folder / "secret").chmod(0o600)
            (line.folder / "kept" / "a.png").parent.mkdir(exist_ok=True)
            (line.folder / "kept" / "a.png").write_bytes(b"picture")
            target = PictureTarget(line.s3[0])
            target.open()
            target._upload("a.png")
            target.close()
        return store.requests


SIGNED = {"access_key": "key3", "secret_file": "secret"}


@observes("s3.endpoint")
def address_of_the_store(run: Run) -> None:
    assert [method for method, *_ in uploaded_by(run)] == ["HEAD", "PUT"]


@observes("s3.bucket")
def bucket_of_the_pictures(run: Run) -> None:
    assert [path for _, path, _ in uploaded_by(run, bucket="b-2")] == ["/b-2", "/b-2/line3/a.png"]


@observes("s3.station")
def station_in_the_store(run: Run) -> None:
    assert uploaded_by(run, station="line4")[-1][1] == "/quality/line4/a.png"


@observes("s3.prefix")
def first_levels_of_the_names(run: Run) -> None:
    assert uploaded_by(run, prefix="plant/glaze")[-1][1] == "/quality/plant/glaze/line3/a.png"


@observes("s3.region")
def region_of_the_bucket(run: Run) -> None:
    assert "/eu-central-1/s3/aws4_request" in uploaded_by(run, region="eu-central-1")[0][2]


@observes("s3.access_key")
def access_key_of_the_store(run: Run) -> None:
    assert "Credential=key4/" in uploaded_by(run, access_key="key4")[0][2]


@observes("s3.secret_file")
def secret_of_the_store(run: Run) -> None:
    with pytest.raises(ServerError, match=r"none\.txt: cannot be read \(No such file or directory\)"):
        uploaded_by(run, secret_file="none.txt")


@observes("s3.ca_file")
def authorities_of_the_store(run: Run) -> None:
    with pytest.raises(ServerError, match=r"none\.pem: found no such file, expected the ca_file of \[s3\]"):
        uploaded_by(run, endpoint="https://127.0.0.1:1", ca_file="none.pem")
