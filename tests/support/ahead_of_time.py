"""Compiles for sm_90, without a GPU, exactly the kernels that a call would launch."""

from __future__ import annotations

import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
OPTIONS = ("num_warps", "num_stages", "enable_fp_fusion")
NAMES = {torch.float32: "fp32", torch.float64: "fp64", torch.bfloat16: "bf16",
         torch.int32: "i32", torch.int64: "i64", torch.bool: "i1"}  # fmt: skip


@dataclass(frozen=True)
class Compiled:
    """What the compiler made of one launch."""

    name: str
    shared: int  # bytes
    registers: int  # per thread
    spills: int  # loads and stores of local memory in the machine code
    tensor_core: int  # HGMMA and HMMA instructions
    wgmma: int  # HGMMA, Hopper's own, among them
    ptx: str = field(repr=False)


@contextmanager
def recorded():
    """Inside, launches are not run but kept: a list of (kernel, arguments, keywords)."""
    launches = []
    run = JITFunction.run

    def record(self, *arguments, grid, warmup, **keywords):
        launches.append((self, arguments, keywords))

    JITFunction.run = record
    try:
        yield launches
    finally:
        JITFunction.run = run


def compile_launch(kernel, arguments, keywords) -> Compiled:
    """Specialised as at run time: integers of 1, and multiples of 16, pointers included."""
    values = dict(zip(kernel.arg_names, arguments, strict=False)) | keywords
    options = {name: values.pop(name) for name in OPTIONS if name in values}
    signature, constants, attributes = {}, {}, {}
    for place, name in enumerate(kernel.arg_names):
        value = values[name]
        if kernel.params[place].is_constexpr or (type(value) is int and value == 1):
            signature[name], constants[name] = "constexpr", value
        elif isinstance(value, torch.Tensor):
            signature[name] = "*" + NAMES[value.dtype]
            attributes[(place,)] = [["tt.divisibility", 16]]
        else:
            signature[name] = "fp32" if isinstance(value, float) else "i32"
            if isinstance(value, int) and value % 16 == 0:
                attributes[(place,)] = [["tt.divisibility", 16]]
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    built = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    code, usage = _disassemble(built.asm["cubin"])
    return Compiled(
        kernel.fn.__name__,
        built.metadata.shared,
        int(re.search(r"REG:(\d+)", usage)[1]),
        len(re.findall(r"\b(?:LDL|STL)\b", code)),
        len(re.findall(r"\b(?:HGMMA|HMMA)\b", code)),
        len(re.findall(r"\bHGMMA\b", code)),
        built.asm["ptx"],
    )


def _disassemble(cubin: bytes) -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        code = subprocess.run([TOOLS / "nvdisasm", file], capture_output=True, text=True)
        usage = subprocess.run(
            [TOOLS / "cuobjdump", "-res-usage", file], capture_output=True, text=True
        )
    return code.stdout, usage.stdout + usage.stderr
