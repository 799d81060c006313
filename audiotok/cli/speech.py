"""The verbs `say`: speech of a text in the voice of a prompt; and `generate`: a sound continued."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiotok.cli.options import Checkpoint, Device, ModelTokenizer, Overwrite

Seed = Annotated[int, typer.Option(help="Seed of sampling; the same seed gives the same sound.")]
Temperature = Annotated[
    float, typer.Option(min=0, help="Temperature of sampling; 0 takes the most probable token.")
]
TopP = Annotated[
    float, typer.Option(min=0.01, max=1, help="Total probability of the tokens to sample from.")
]


def say(
    words: Annotated[str, typer.Argument(metavar="TEXT", help="Text to speak, in English.")],
    prompt: Annotated[Path, typer.Option("--prompt", help="Sound file of the voice, 1 to 3 s.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Sound file to write: .wav, .flac or .ogg.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Model: a name that ships (default: vall-e-aligned-mini; vall-e-r-mini takes half "
            "the steps) or a file, twice for two parts.",
        ),
    ] = None,
    prompt_text: Annotated[
        str | None, typer.Option("--prompt-text", help="Text of the prompt, if known.")
    ] = None,
    durations: Annotated[
        Path | None,
        typer.Option(
            "--durations", help="File with the phones and their durations to speak, in seconds."
        ),
    ] = None,
    save_durations: Annotated[
        Path | None,
        typer.Option(
            "--save-durations", help="File to write the spoken phones and their durations to."
        ),
    ] = None,
    seed: Seed = 0,
    temperature: Temperature = 0.0,
    top_p: TopP = 0.9,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Number of forward passes (ResGen); default: the model's own."),
    ] = None,
    guidance: Annotated[
        float, typer.Option(min=0, help="Weight of guidance by text and voice (ResGen).")
    ] = 0.0,
    tokenizer: ModelTokenizer = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Speak a text in the voice of a prompt.

    Only with the consent of the person whose voice it is. The file says that it is synthetic.
    """
    from audiotok.errors import SpeechError
    from audiotok.system import outputs
    from audiotok.tts import durations as files
    from audiotok.tts import say as speech
    from audiotok.tts.base import Generation

    if not words.strip():
        raise SpeechError("the text is empty: give what is to be said")
    speech.check_format(out)
    written_files = [out, *([save_durations] if save_durations else [])]
    inputs = [prompt, *([durations] if durations else []), *(model or ())]
    outputs.check(written_files, inputs, overwrite)
    phone_durations = files.read(durations) if durations else None
    speaker = speech.Speaker(
        *(model or ()), tokenizer=tokenizer, checkpoint=checkpoint, device=device
    )
    spoken = speaker.say(
        words,
        prompt,
        prompt_text=prompt_text,
        durations=phone_durations,
        seed=seed,
        options=Generation(temperature=temperature, top_p=top_p, steps=steps, guidance=guidance),
    )
    if save_durations and spoken.seconds_of_phones is None:
        raise SpeechError(
            f"{speaker.name} has no alignment, so it knows no durations: leave out --save-durations"
        )
    for path in written_files:
        outputs.prepare(path, overwrite)
    speech.write(out, spoken)
    if save_durations:
        files.write(save_durations, files.Durations(spoken.phones, spoken.seconds_of_phones))
    work = sum(spoken.seconds.values())
    print(f"{out}: {spoken.audio.duration:.2f} s of speech in {work:.2f} s, {spoken.steps} steps")


def generate(
    model: Annotated[Path, typer.Argument(help="File of weights that `audiotok train-lm` wrote.")],
    prompt: Annotated[Path, typer.Option("--prompt", help="Sound file to continue.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to write the sounds and the page to.")
    ],
    count: Annotated[int, typer.Option("-n", min=1, help="Number of continuations.")] = 8,
    prompt_seconds: Annotated[
        float, typer.Option(help="Seconds of the sound that the model gets, from its start.")
    ] = 3.0,
    seconds: Annotated[float, typer.Option(help="Seconds of each continuation.")] = 5.0,
    seed: Seed = 0,
    temperature: Temperature = 1.0,
    top_k: Annotated[
        int, typer.Option(min=1, help="Number of most probable tokens to sample from.")
    ] = 250,
    top_p: TopP = 1.0,
    tokenizer: ModelTokenizer = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Continue a sound by a trained language model, and write a page to listen to.

    The files say that they are synthetic.
    """
    from audiotok.lm import Sampling
    from audiotok.report import continuations
    from audiotok.speech_lm import continuing

    continuations.check(out, prompt, count, overwrite)
    continued = continuing.continue_sound(
        model,
        prompt,
        count=count,
        prompt_seconds=prompt_seconds,
        seconds=seconds,
        sampling=Sampling(temperature=temperature, top_k=top_k, top_p=top_p),
        seed=seed,
        checkpoint=checkpoint,
        device=device,
        tokenizer=tokenizer,
    )
    print(continuations.write(continued, out, overwrite))
