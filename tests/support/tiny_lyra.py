"""Three small TFLite models with random weights, of the inputs and outputs of Lyra v2's."""

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from audiotok.codecs.lyra import (
    CODEBOOK_SIZE,
    CODEBOOKS,
    DECODER,
    DIMENSION,
    ENCODER,
    HOP_LENGTH,
    QUANTIZER,
)

_TYPES = {"f": schema.TensorType.FLOAT32, "i": schema.TensorType.INT32}


def write(folder: Path) -> Path:
    """Write the three models into `folder`; return it."""
    rng = np.random.default_rng(0)
    analysis = np.linalg.qr(rng.normal(size=(HOP_LENGTH, DIMENSION)))[0].T.astype("f")
    for file, matrix in ((ENCODER, 3 * analysis), (DECODER, analysis.T / 3)):
        model = Graph()
        source = model.tensor((1, matrix.shape[1]), "f")
        product = model.tensor((1, len(matrix)), "f")
        options = schema.FullyConnectedOptionsT()
        weights = model.constant(np.ascontiguousarray(matrix))
        model.operator("FULLY_CONNECTED", [source, weights], product, options)
        model.save(folder / file, source, product)
    _quantizer(rng.normal(size=(CODEBOOKS, CODEBOOK_SIZE, DIMENSION))).save(folder / QUANTIZER)
    return folder


class Graph:
    """A TFLite model while it is made, by way of the classes of its flatbuffer schema."""

    def __init__(self):
        self.graph, self.model = schema.SubGraphT(), schema.ModelT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, shape, kind, buffer=0):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), _TYPES[kind], buffer
        tensor.name = f"t{len(self.graph.tensors)}"
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, array):
        buffer = schema.BufferT()
        buffer.data = list(array.tobytes())
        self.model.buffers.append(buffer)
        return self.tensor(array.shape, array.dtype.kind, len(self.model.buffers) - 1)

    def operator(self, name, inputs, output, options):
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = code.builtinCode
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes)
        self.model.operatorCodes.append(code)
        operator.inputs, operator.outputs = inputs, [output]
        kind = type(options).__name__.removesuffix("T")
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        self.graph.operators.append(operator)

    def save(self, path, source=None, product=None):
        if source is not None:
            self.graph.inputs, self.graph.outputs = [source], [product]
        builder = flatbuffers.Builder(2**20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(builder.Output())


def _quantizer(codebooks):
    """A model with the signature `decode`: codes (46, 1, 1), -1 where unused -> their sum."""
    rows = np.concatenate([np.zeros((CODEBOOKS, 1, DIMENSION)), codebooks], axis=1)
    first = np.arange(CODEBOOKS, dtype="i4") * (1 + CODEBOOK_SIZE) + 1
    model = Graph()
    codes = model.tensor((CODEBOOKS, 1, 1), "i")
    places = model.tensor((CODEBOOKS, 1, 1), "i")
    vectors = model.tensor((CODEBOOKS, 1, 1, DIMENSION), "f")
    total = model.tensor((1, 1, DIMENSION), "f")
    offsets = model.constant(first.reshape(-1, 1, 1))
    table = model.constant(rows.reshape(-1, DIMENSION).astype("f"))
    model.operator("ADD", [codes, offsets], places, schema.AddOptionsT())
    model.operator("GATHER", [table, places], vectors, schema.GatherOptionsT())
    axis = model.constant(np.zeros(1, "i4"))
    model.operator("SUM", [vectors, axis], total, schema.ReducerOptionsT())
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "decode", 0
    signature.inputs, signature.outputs = [schema.TensorMapT()], [schema.TensorMapT()]
    signature.inputs[0].name, signature.inputs[0].tensorIndex = "encoding_indices", codes
    signature.outputs[0].name, signature.outputs[0].tensorIndex = "output_0", total
    model.model.signatureDefs = [signature]
    model.graph.inputs, model.graph.outputs = [codes], [total]
    return model
