"""Titles of suites, tasks, columns and corpora in pages and tables, instead of identifiers."""

from __future__ import annotations

import re

_TITLES = {
    # columns
    "pesq": "PESQ", "stoi": "STOI", "estoi": "ESTOI", "wer": "WER", "cer": "CER", "dwer": "dWER",
    "speaker_similarity": "Speaker similarity", "speaker_eer": "Speaker EER",
    "distillmos": "DistillMOS", "dnsmos_p808": "DNSMOS P.808", "dnsmos_ovrl": "DNSMOS overall",
    "utmos": "UTMOS", "plcmos": "PLCMOS", "visqol": "ViSQOL", "sdr": "SDR", "si_sdr": "SI-SDR",
    "ci_sdr": "CI-SDR", "mcd": "MCD", "lsd": "LSD", "mel_distance": "Mel distance",
    "stft_distance": "STFT distance", "mmd": "MMD", "frechet": "Fréchet distance",
    "tag_kld": "KLD of classes", "bitrate": "Bitrate", "entropy_bitrate": "Entropy bitrate",
    "lm_bitrate": "Bits under the LM", "token_rate": "Token rate", "ued": "Token edit distance",
    "f0_correlation": "F0 correlation",
    # tasks
    "reconstruction": "Signal quality", "asr": "Word errors", "speaker": "Speaker",
    "tokens": "Token statistics", "mos": "Predicted opinion scores", "speed": "Speed",
    "acoustic_lm": "Language modelling", "stability": "Token stability",
    "robustness": "Robustness to token errors", "token_information": "Information in tokens",
    "probe_asr": "Probe: speech recognition", "probe_label": "Probe: classification",
    "probe_speaker": "Probe: speaker identification",
    "probe_verification": "Probe: speaker verification",
    "enhance": "Enhancement", "separate": "Separation", "sets": "Distances of sets",
    "perturbed": "Distances under wrong codes", "tags": "Classes of sounds",
    # suites
    "lm": "Language modelling", "samples": "Published samples", "sound": "Sound",
    "smoke": "Smoke test", "downstream": "Downstream probes", "semantic": "Semantic tokens",
    "speech": "Speech", "enhancement": "Enhancement and separation", "sounds": "Music and sounds",
    # corpora
    "bundled": "bundled clips", "digits": "spoken digits", "fsdd-test": "FSDD digits, test",
    "fsdd-words": "FSDD digits, words",
    "survey-speech-against-dac": "the survey's speech samples",
    "librispeech-mini-test": "LibriSpeech mini test",
    "librispeech-mini-test-lm": "LibriSpeech mini test, LM",
    # tables of speed
    "codecs-cpu": "Codecs on a CPU", "corpus-cpu": "Encoding corpora on a CPU",
    "harness-cpu": "The benchmark itself on a CPU",
    "kernels-cpu": "Codebook search on a CPU (AVX2)",
    "kernels-cpu-avx512": "Codebook search on a CPU (AVX-512)", "lm-cpu": "Language model on a CPU",
    "streaming-cpu": "Streaming on a CPU", "training-cpu": "Training steps on a CPU",
}  # fmt: skip
_WORDS = {
    "librispeech": "LibriSpeech", "whisper": "Whisper", "cpu": "CPU", "gpu": "GPU", "snr": "SNR",
    "dnsmos": "DNSMOS", "lm": "LM", "wer": "WER", "cer": "CER", "dwer": "dWER", "f0": "F0",
    "eer": "EER", "pnmi": "PNMI", "rtf": "RTF", "sdr": "SDR", "h200": "H200", "mmd": "MMD",
    "distillmos": "DistillMOS",
}  # fmt: skip

_SUFFIXES = {"_16k": " at 16 kHz", "_aligned": ", aligned"}


def title(name: str) -> str:
    """The title of a column, task, suite, corpus or table; by default, the words of its name."""
    if name in _TITLES:
        return _TITLES[name]
    if match := re.fullmatch(r"(d?wer|cer)(_english)?_(whisper_.+)", name):
        judge = title(match[3]) + ("" if match[2] or match[1] == "dwer" else ", basic text")
        return f"{title(match[1])} ({judge})"
    for suffix, text in _SUFFIXES.items():
        if name.endswith(suffix) and name != suffix:
            return title(name.removesuffix(suffix)) + text
    if name.startswith("asr_"):
        return f"Word errors ({title(name.removeprefix('asr_'))})"
    words = [_WORDS.get(word, word) for word in re.split(r"[-_/: ]+", name) if word]
    text = " ".join(words)
    return text[:1].upper() + text[1:] if text.islower() else text
