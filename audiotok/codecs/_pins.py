"""Revisions and hashes of official weights on the Hub, as others recorded them.

A revision or hash stands here only where at least two public projects that do not depend on each
other pin the same one; we have downloaded none of these files. All others are "main" and without a
hash: `audiotok verify` records what it loads.
"""

from __future__ import annotations

from typing import Any

REVISIONS = {
    "descript/dac_16khz": "7c2fc5e759f1f501aefc6e7a0265cc57f5d17ba7",
    "descript/dac_24khz": "6ba020b5ba7d9d8076fb90db7e67f27e31980f6e",
    "descript/dac_44khz": "c1bc521685adf9cfe247bc39a5ca58917eda1ac4",
    "facebook/encodec_24khz": "c1dbe2ae3f1de713481a3b3e7c47f357092ee040",
    "facebook/encodec_48khz": "c3def8e7185ac8c8efdce6eb8c4a651e487a503e",
    "fnlp/SpeechTokenizer": "4d54939beef00572fa7bfe41ee35a335c3732f51",
    "hubertsiuzdak/snac_24khz": "d73ad176a12188fcf4f360ba3bf2c2fbbe8f58ec",
    "hubertsiuzdak/snac_32khz": "c84c6ac842dc7a44a6fb0f3b576ce94b48a7780f",
    "hubertsiuzdak/snac_44khz": "873ebef9718b89660340c6f55a2b515e98cfa1d9",
    "kyutai/mimi": "89091b3e466eb6a9d11e537bf26b144f194978f7",
}
SHA256 = {  # of the file of weights
    "descript/dac_44khz": "6128ebff483a41422b0164d079a3773b0d8d82e64c4293d775994cbf8baf913a",
    "facebook/encodec_48khz": "47a15ffbaf7bb76176d0833e10590de0a8988a7848748608cefc36a1c88adfdc",
    "fnlp/SpeechTokenizer": "d04593b6c9a4b475f91ca481141a6ef5b23e6ac112f347dd2b2717f193c1c728",
    "hubertsiuzdak/snac_24khz": "4b8164cc6606bfa627f1a784734c1e539891518f1191ed9194fe1e3b9b4bff40",
    "kyutai/mimi": "bac7e85083dcded655d24eaadde7e6eea34c0da1b35fa2d284e641bd2b942a5e",
}


def pinned(repository: str) -> dict[str, Any]:
    """The fields repository, revision and sha256 of `Weights`."""
    return {
        "repository": repository,
        "revision": REVISIONS.get(repository, "main"),
        "sha256": SHA256.get(repository),
    }
