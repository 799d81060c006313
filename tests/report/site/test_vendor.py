"""The files of onnxruntime-web in the repository are those of the package that ORIGIN.md names."""

import gzip
import hashlib

from audiotok.report.site.browser import VENDOR

SOURCE_MAP = b"//# sourceMappingURL=ort.wasm-core.min.js.map\n"


def test_the_runtime_is_that_of_the_package():
    wasm = gzip.decompress((VENDOR / "ort-wasm-simd.wasm.gz").read_bytes())
    script = (VENDOR / "ort.wasm-core.min.js").read_bytes() + SOURCE_MAP
    origin = (VENDOR / "ORIGIN.md").read_text()
    for content in (wasm, script):
        assert hashlib.sha256(content).hexdigest() in origin
