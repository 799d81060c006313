"""Results as metadata of a model card on the Hugging Face Hub (`model-index`). Imports no torch.

    audiotok model-index rvq-mini > README.md      # then write below it what the model is

The Hub's format has no place for an interval, for failures or for the hash of a corpus, so that
each metric carries them as `args`; nothing says `verified`, which is the Hub's own word.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audiotok.errors import ResultsError
from audiotok.results import comparison
from audiotok.results.results import Result, refuse_mixed
from audiotok.results.validating import refuse_untrue

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

TASK = "audio-to-audio"  # the Hub's word for what goes through a codec


def eval_results(result: Result) -> list[EvalResult]:
    """One for each number that was measured; what is missing is left out, never 0."""
    from huggingface_hub import EvalResult

    suite, data = result.summary["suite"], result.summary["data"]
    found = []
    for name, score in result.scores.items():
        if score["mean"] is None:
            continue
        args = {"n": score["n"], "failed": score["failed"], "clips": score["clips"]}
        args |= {"suite_version": suite["version"]}
        args |= {"ci95": list(score["ci95"])} if score["ci95"] else {}
        args |= {"unit": score["unit"]} if score["unit"] else {}
        if result.contamination:
            args["contamination"] = result.contamination
        if name in result.run["times"]:
            args["hardware"] = result.run["hardware"]
        found.append(
            EvalResult(
                task_type=TASK,
                task_name=score["task"],
                dataset_type=data["name"],
                dataset_name=f"{data['name']} ({suite['name']} v{suite['version']})",
                dataset_revision=data["sha256"],
                metric_type=name,
                metric_name=score["description"],
                metric_value=score["mean"],
                metric_args=args,
            )
        )
    return found


def front_matter(
    results: str | Path, name: str, suite: str | None = None, data: str | None = None
) -> str:
    """The YAML block, with its dashes, that opens a README.md on the Hub.

    Args:
        results: folder of all results.
        name: of a codec, or of a family that has but one there.
        suite, data: only these.

    Raises ResultsError where that codec was not measured, its result was torn or edited, or
    versions are mixed.
    """
    from huggingface_hub import ModelCardData

    groups = list(comparison.select(results, suite, data))
    found = [one for group in groups if (one := comparison.named(group, name))]
    if not any(result.is_whole for result in found):
        raise ResultsError(
            f"{name} was not measured on a whole suite in {results}: run `audiotok bench "
            f"--tokenizer {name}` first"
        )
    found = [result for result in found if result.is_whole]
    for result in found:
        refuse_untrue(result)
    for group in groups:
        refuse_mixed([result for result in group if result in found])
    codec = found[0].summary["codec"]
    licence = codec.get("licence_weights")
    card = ModelCardData(
        model_name=codec["name"],
        library_name="audiotok",
        pipeline_tag=TASK,
        license=licence.lower() if licence else None,
        tags=["audio", "codec", "tokenizer", *filter(None, [codec.get("family")])],
        eval_results=[each for result in found for each in eval_results(result)],
    )
    return f"---\n{card.to_yaml()}\n---\n"
