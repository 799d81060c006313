"""The paper or standard of each codec family, as BibTeX."""

from __future__ import annotations

from audiotok.system.escaping import one_line

_ARXIV = {  # family: (key, title, authors, year, number)
    "encodec": ("defossez2022encodec", "High Fidelity Neural Audio Compression",
                "Défossez, Alexandre and Copet, Jade and Synnaeve, Gabriel and Adi, Yossi",
                2022, "2210.13438"),
    "dac": ("kumar2023dac", "High-Fidelity Audio Compression with Improved RVQGAN",
            "Kumar, Rithesh and Seetharaman, Prem and Luebs, Alejandro and Kumar, Ishaan and "
            "Kumar, Kundan", 2023, "2306.06546"),
    "snac": ("siuzdak2024snac", "SNAC: Multi-Scale Neural Audio Codec",
             "Siuzdak, Hubert and Grötschla, Florian and Lanzendörfer, Luca A.",
             2024, "2410.14411"),
    "mimi": ("defossez2024moshi", "Moshi: a speech-text foundation model for real-time dialogue",
             "Défossez, Alexandre and others", 2024, "2410.00037"),
    "speechtokenizer": ("zhang2023speechtokenizer", "SpeechTokenizer: Unified Speech Tokenizer for "
                        "Speech Large Language Models", "Zhang, Xin and others",
                        2023, "2308.16692"),
    "wavtokenizer": ("ji2024wavtokenizer", "WavTokenizer: an Efficient Acoustic Discrete Codec "
                     "Tokenizer for Audio Language Modeling", "Ji, Shengpeng and others",
                     2024, "2408.16532"),
    "xcodec": ("ye2024xcodec", "Codec Does Matter: Exploring the Semantic Shortcoming of Codec for "
               "Audio Language Model", "Ye, Zhen and others", 2024, "2408.17175"),
    "xcodec2": ("ye2025llasa", "Llasa: Scaling Train-Time and Inference-Time Compute for "
                "Llama-based Speech Synthesis", "Ye, Zhen and others", 2025, "2502.04128"),
    "neucodec": ("julian2025neucodec", "Finite Scalar Quantization Enables Redundant and "
                 "Transmission-Robust Neural Audio Compression at Low Bit-rates",
                 "Julian, Harry and others", 2025, "2509.09550"),
    "lm-spt": ("jo2025lmspt", "LM-SPT: LM-Aligned Semantic Distillation for Speech Tokenization",
               "Jo, Daejin and others", 2025, "2506.16738"),
    "bigcodec": ("xin2024bigcodec", "BigCodec: Pushing the Limits of Low-Bitrate Neural "
                 "Speech Codec",
                 "Xin, Detai and Tan, Xu and Takamichi, Shinnosuke and Saruwatari, Hiroshi",
                 2024, "2409.05377"),
    "focalcodec": ("dellalibera2025focalcodec", "FocalCodec: Low-Bitrate Speech Coding via Focal "
                   "Modulation Networks", "Della Libera, Luca and Paissan, Francesco and Subakan, "
                   "Cem and Ravanelli, Mirco", 2025, "2502.04465"),
    "nanocodec": ("casanova2025nanocodec", "NanoCodec: Towards High-Quality Ultra Fast Speech LLM "
                  "Inference", "Casanova, Edresson and others", 2025, "2508.05835"),
    "lyra-v2": ("zeghidour2021soundstream", "SoundStream: An End-to-End Neural Audio Codec",
                "Zeghidour, Neil and Luebs, Alejandro and Omran, Ahmed and Skoglund, Jan and "
                "Tagliasacchi, Marco", 2021, "2107.03312"),
}  # fmt: skip
_OTHER = {
    "opus": "@techreport{valin2012opus,\n  title = {Definition of the Opus Audio Codec},\n"
    "  author = {Valin, Jean-Marc and Vos, Koen and Terriberry, Timothy B.},\n"
    "  institution = {IETF},\n  type = {RFC},\n  number = {6716},\n  year = {2012}\n}",
    "codec2": "@phdthesis{rowe1997sinusoidal,\n  title = {Techniques for Harmonic Sinusoidal "
    "Coding},\n  author = {Rowe, David Grant},\n  school = {University of South Australia},\n"
    "  year = {1997}\n}",
    "mulaw": "@techreport{itu1988g711,\n  title = {Pulse code modulation (PCM) of voice "
    "frequencies},\n  institution = {ITU-T},\n  type = {Recommendation},\n  number = {G.711},\n"
    "  year = {1988}\n}",
}


def bibtex(family: str | None) -> str | None:
    """The BibTeX entry of a family; None if it has no publication."""
    if family in _OTHER:
        return _OTHER[family]
    if family not in _ARXIV:
        return None
    key, title, authors, year, number = _ARXIV[family]
    fields = {
        "title": f"{{{title}}}", "author": authors, "year": str(year),
        "eprint": number, "archiveprefix": "arXiv", "url": f"https://arxiv.org/abs/{number}",
    }  # fmt: skip
    lines = [f"  {name} = {{{one_line(value)}}}" for name, value in fields.items()]
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}"
