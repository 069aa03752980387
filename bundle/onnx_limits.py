"""Limits of an ONNX file, checked on its protobuf fields before an engine reads it.

Only the fields that matter here are decoded (onnx/onnx.proto3, https://protobuf.dev/programming-guides/encoding);
weights are skipped by their length. The graph itself is checked by the engine.
"""

from collections.abc import Iterator

MOST_BYTES = 2**30
MOST_NODES = 10_000
"""Of a graph; a DenseNet-201 in INT8 has about 3,000."""
MOST_FIELDS = 300_000
"""Of all messages that are decoded; bounds the time for a file of many empty fields."""

_MODEL_GRAPH, _MODEL_FUNCTIONS, _MODEL_TRAINING = 7, 25, 20
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_ATTRIBUTE = 5
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14

Field = tuple[int, int, int]
"""Number of a field with the start and the end of its bytes; of a varint, its value instead of the end."""


def check_model(content: bytes) -> None:
    """Check size, number of nodes, control flow and external data of a serialised ONNX model.

    Raises ValueError with what was found and what was expected.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"{len(content)} bytes, expected at most {MOST_BYTES}")
    _ModelScan(memoryview(content)).model()


class _ModelScan:
    """One pass over the fields of a model."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._fields = self._nodes = 0

    def model(self) -> None:
        graphs = 0
        for number, start, end in self._messages(0, len(self._data)):
            if number == _MODEL_GRAPH:
                graphs += 1
                self._graph(start, end)
            elif number in (_MODEL_FUNCTIONS, _MODEL_TRAINING):
                raise ValueError("functions or training steps in the model, expected a graph alone")
        if graphs != 1 or not self._nodes:
            raise ValueError(f"{graphs} graphs with {self._nodes} nodes, expected one with some")

    def _graph(self, start: int, end: int) -> None:
        for number, first, last in self._messages(start, end):
            if number == _GRAPH_NODE:
                self._nodes += 1
                if self._nodes > MOST_NODES:
                    raise ValueError(f"more than {MOST_NODES} nodes, expected at most that")
                self._node(first, last)
            elif number == _GRAPH_INITIALIZER:
                self._tensor(first, last)
            elif number == _GRAPH_SPARSE:
                raise ValueError("a sparse weight, expected dense ones")

    def _node(self, start: int, end: int) -> None:
        for number, first, last in self._messages(start, end):
            if number == _NODE_ATTRIBUTE:
                self._attribute(first, last)

    def _attribute(self, start: int, end: int) -> None:
        for number, first, last in self._messages(start, end):
            if number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                raise ValueError(
                    "a node with a graph of its own (If, Loop, Scan), expected a graph without control flow"
                )
            if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                self._tensor(first, last)

    def _tensor(self, start: int, end: int) -> None:
        for number, _, value in self._all(start, end):
            if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value):
                raise ValueError("weights in another file, expected all of them in this one")

    def _messages(self, start: int, end: int) -> Iterator[Field]:
        """The length-delimited fields: number, start and end of each."""
        return (field for field in self._all(start, end) if field[1] >= 0)

    def _all(self, start: int, end: int) -> Iterator[Field]:
        """Every field; one that is a plain number has start -1 and the number in place of the end."""
        at = start
        while at < end:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise ValueError(f"more than {MOST_FIELDS} fields, expected at most that")
            key, at = self._varint(at, end)
            number, kind = key >> 3, key & 7
            if kind == 2:
                length, at = self._varint(at, end)
                if length > end - at:
                    raise ValueError("a truncated protobuf message")
                yield number, at, at + length
                at += length
            elif kind == 0:
                value, at = self._varint(at, end)
                yield number, -1, value
            elif kind in (1, 5):
                at += 8 if kind == 1 else 4
            else:
                raise ValueError(f"a protobuf field of type {kind}, expected an ONNX model")
        if at != end:
            raise ValueError("a truncated protobuf message")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """A number in groups of seven bits, the lowest first, at most ten bytes."""
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                raise ValueError("a truncated protobuf message")
            byte = self._data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
        raise ValueError("a number of more than ten bytes, expected an ONNX model")
