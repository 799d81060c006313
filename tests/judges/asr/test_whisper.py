"""Whisper on a tiny model with random weights, saved here: its words mean nothing."""

from __future__ import annotations

import hashlib
import json
import pickle
import types

import pytest
import torch

from audiotok.errors import MetricError
from audiotok.harness.summary import versions
from audiotok.judges.asr import whisper
from audiotok.judges.pretrained import slug
from audiotok.sound.audio import Audio
from audiotok.tasks import Item
from audiotok.tasks.asr_whisper import AsrWhisper

transformers = pytest.importorskip("transformers")
pytest.importorskip("ctranslate2")
pytest.importorskip("whisper_normalizer")
ByteLevel = pytest.importorskip("tokenizers.pre_tokenizers").ByteLevel


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Whisper of 2 layers and 16 channels with a vocabulary of bytes."""
    path = tmp_path_factory.mktemp("whisper-tiny")
    symbols = sorted(ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
    vocabulary = {s: i for i, s in enumerate([*symbols, *special])}
    (path / "vocab.json").write_text(json.dumps(vocabulary))
    (path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.WhisperTokenizer(str(path / "vocab.json"), str(path / "merges.txt"))
    features = transformers.WhisperFeatureExtractor()
    transformers.WhisperProcessor(features, tokenizer).save_pretrained(path)
    start, end = vocabulary["<|startoftranscript|>"], vocabulary["<|endoftext|>"]
    config = transformers.WhisperConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8,
        max_target_positions=448, decoder_start_token_id=start, bos_token_id=end, eos_token_id=end,
        pad_token_id=end, suppress_tokens=[], begin_suppress_tokens=[], init_std=0.3,
    )  # fmt: skip
    torch.manual_seed(0)
    network = transformers.WhisperForConditionalGeneration(config)
    network.generation_config.no_timestamps_token_id = vocabulary["<|notimestamps|>"]
    network.save_pretrained(path)
    return path


def test_it_transcribes_what_it_is_given(folder):
    recogniser = whisper.Whisper(folder)
    sound = Audio(0.1 * torch.randn(1, 24_000, generator=torch.Generator().manual_seed(1)), 24_000)
    text = recogniser.transcribe(sound)
    assert text and text == recogniser.transcribe(sound)
    copy = pickle.loads(pickle.dumps(recogniser))
    assert "network" not in vars(copy) and copy.transcribe(sound) == text


def test_english_of_a_short_noise_is_short(folder, monkeypatch):
    recogniser = whisper.Whisper(folder)
    noise = 0.1 * torch.randn(1, 160_000, generator=torch.Generator().manual_seed(1))
    short, long = (recogniser.transcribe(Audio(noise[:, :n], 16_000)) for n in (16_000, 160_000))
    assert 16 < len(short) <= 32 < len(long)  # a token is a byte

    given = []

    class Network:
        is_multilingual = True

        def generate(self, *_, max_length, **options):
            given.append(max_length)
            return [types.SimpleNamespace(sequences_ids=[[0]])]

    monkeypatch.setattr(recogniser, "network", (recogniser.network[0], Network()))
    recogniser.transcribe(Audio(noise[:, :24_000], 16_000), "en-gb")
    recogniser.transcribe(Audio(noise[:, :24_000], 16_000))
    recogniser.transcribe(Audio(torch.zeros(1, 31 * 16_000), 16_000))
    recogniser.transcribe(Audio(noise[:, :24_000], 16_000), "my")
    assert given == [80, 80, 448, 64, 448]


def test_the_task_scores_with_it(folder):
    from audiotok.data import Clip

    task = AsrWhisper(str(folder))
    assert task.available() is None
    sound = Audio(0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(1)), 16_000)
    row = task.score(Item(Clip("a", text="two words"), sound, sound))
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).digest()
    digest = hashlib.sha256(digest).hexdigest()
    label = folder.name.removeprefix("whisper-")
    assert task.name == f"asr_whisper:{label}"
    assert versions(task) == {"task": 3, "weights": digest}
    end = task.suffix
    assert end == f"_whisper{slug(label)}"
    assert row[f"words{end}"] == row[f"words_english{end}"] == 2
    assert isinstance(row[f"wer{end}"], float)
    assert row[f"dwer{end}"] == 0 or isinstance(row[f"dwer{end}"], MetricError)
    assert {c.name for c in task.columns} == set(row) - {f"transcript{end}"}


@torch.no_grad()
def test_it_writes_what_transformers_writes(folder, monkeypatch):
    monkeypatch.setattr(whisper, "PRECISION", "float32")
    monkeypatch.setattr(whisper, "BEAMS", 1)
    processor = transformers.WhisperProcessor.from_pretrained(folder)
    network = transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    sound = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(2))
    features = processor(sound[0].numpy(), sampling_rate=16_000, return_tensors="pt").input_features
    prompt = ["<|startoftranscript|>", "<|notimestamps|>"]
    codes = torch.tensor([processor.tokenizer.convert_tokens_to_ids(prompt)])
    for _ in range(20):
        best = network(features, decoder_input_ids=codes).logits[:, -1:].argmax(-1)
        codes = torch.cat([codes, best], dim=1)
    expected = processor.decode(codes[0, 2:], skip_special_tokens=True).strip()
    found = whisper.Whisper(folder).transcribe(Audio(sound, 16_000))
    assert len(expected) >= 20 and found.startswith(expected)


def test_weights_that_are_not_here_are_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    reason = AsrWhisper("openai/whisper-none").available()
    assert "hf download openai/whisper-none" in reason and "\n" not in reason
    with pytest.raises(MetricError, match="not on this machine"):
        whisper.Whisper("openai/whisper-none").transcribe(Audio(torch.zeros(1, 16_000), 16_000))
    with pytest.raises(MetricError, match="cannot be loaded"):
        whisper.Whisper(tmp_path).transcribe(Audio(torch.zeros(1, 16_000), 16_000))


def test_numbers_and_spellings_are_no_errors_after_the_english_normaliser(monkeypatch, folder):
    from audiotok.data import Clip
    from audiotok.tasks import _words

    monkeypatch.setattr(_words, "transcribe", lambda *_: "It's 22 dollars, the colour.")
    task, silence = AsrWhisper(str(folder)), Audio(torch.zeros(1, 16_000), 16_000)
    for language, known in ((None, True), ("en-gb", True), ("de", False)):
        clip = Clip("a", text="it is twenty two dollars the color", language=language)
        monkeypatch.setattr(task.recogniser, "languages", ("en", "de"), raising=False)
        row = task.score(Item(clip, silence, silence))
        assert row[f"wer{task.suffix}"] > 0.5
        assert row.get(f"wer_english{task.suffix}") == (0 if known else None)


def test_a_multilingual_model_is_told_the_language(folder, tmp_path, monkeypatch):
    from audiotok.data import Clip
    from audiotok.judges.asr import unfit

    assert whisper.Whisper(folder).languages == ("en",)
    config = {"lang_to_id": {"<|en|>": 1, "<|ru|>": 2}}
    (tmp_path / "generation_config.json").write_text(json.dumps(config))
    recogniser = whisper.Whisper(tmp_path)
    assert recogniser.languages == ("en", "ru")
    text = "\u0434\u0432\u0430 \u0441\u043b\u043e\u0432\u0430"
    assert unfit(recogniser, Clip("a", text=text, language="ru")) is None
    assert "LATIN" in unfit(recogniser, Clip("a", text=text))
    assert "is in fr" in unfit(recogniser, Clip("a", text="deux mots", language="fr"))
