"""Results as metadata of a model card on the Hugging Face Hub (`model-index`). Imports no torch.

    audiotok model-index rvq-small > README.md      # then describe the model below it

Papers with Code reads the same block. The format has no field for an interval, for failures or for
the hash of a corpus; each metric has them in `args`. `verified` is never set: only the Hub may.
Numbers without a direction, and those of single seeds, are left to leaderboard.csv.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from audiotok.errors import ResultsError
from audiotok.report.titles import title
from audiotok.results import comparison
from audiotok.results.results import Result, refuse_mixed
from audiotok.results.validating import refuse_edited

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

TASK = "audio-to-audio"  # the Hub's name of the task of a codec
_LICENCES = {  # identifiers of the Hub; any other is "other" with a name
    "apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc0-1.0", "bsd-3-clause",
    "openrail", "gpl-3.0",
}  # fmt: skip
_DATASETS = {"librispeech": "openslr/librispeech_asr", "fsdd": "mteb/free-spoken-digit-dataset"}
_METRICS = re.compile(r"^(wer|cer)(_english)?_whisper.*")  # of the Hub: wer, cer


def eval_results(result: Result) -> list[EvalResult]:
    """One for each number that was measured; missing numbers are left out, never 0."""
    from huggingface_hub import EvalResult

    suite, data = result.summary["suite"], result.summary["data"]
    metrics = []
    for name, score in result.scores.items():
        if score["mean"] is None or score["higher_is_better"] is None or "_seed_" in name:
            continue
        args = {"n": score["n"], "failed": score["failed"], "clips": score["clips"]}
        args |= {"suite": suite["name"], "suite_version": suite["version"]}
        args |= {"column": name, "data_sha256": data["sha256"]}
        args |= {"ci95": list(score["ci95"])} if score["ci95"] else {}
        args |= {"unit": score["unit"]} if score["unit"] else {}
        if result.contamination:
            args["contamination"] = result.contamination
        if name in result.run["times"]:
            args["hardware"] = result.run["hardware"]
        metrics.append(
            EvalResult(
                task_type=TASK,
                task_name=title(score["task"]),
                dataset_type=_DATASETS.get(data["name"].split("/")[0], data["name"]),
                dataset_name=f"{title(data['name'])} ({suite['name']} v{suite['version']})",
                metric_type=_METRICS.sub(r"\1", name),
                metric_name=title(name),
                metric_value=score["mean"],
                metric_args=args,
            )
        )
    return metrics


def front_matter(
    results: str | Path, name: str, suite: str | None = None, data: str | None = None
) -> str:
    """The YAML block, with its dashes, that begins a README.md on the Hub.

    Args:
        results: folder of all results.
        name: of a codec, or of a family with only one codec there.
        suite, data: only these.

    Raises ResultsError if the codec was not measured, its result is damaged or edited, or versions
    are mixed.
    """
    groups = list(comparison.select(results, suite, data))
    measured = [result for group in groups if (result := comparison.named(group, name))]
    complete = [result for result in measured if result.is_complete]
    if not complete:
        raise ResultsError(
            f"{name} was not measured on a whole suite in {results}: run `audiotok bench "
            f"--tokenizer {name}` first"
        )
    for result in complete:
        refuse_edited(result)
    for group in groups:
        refuse_mixed([result for result in group if result in complete])
    codec = complete[0].summary["codec"]
    results = [entry for result in complete for entry in eval_results(result)]
    return plain_front_matter(
        codec["name"], codec.get("family"), codec.get("licence_weights"), results
    )


def plain_front_matter(
    name: str,
    family: str | None,
    licence: str | None,
    results: list[EvalResult] | None = None,
) -> str:
    """The YAML block of a codec.

    Args:
        licence: of the weights; None: not stated.
        results: None: it was not measured.
    """
    from huggingface_hub import ModelCardData

    licence = (licence or "").lower()
    unlisted = licence and licence not in _LICENCES
    card = ModelCardData(
        model_name=name,
        library_name="audiotok",
        pipeline_tag=TASK,
        license="other" if unlisted else licence or None,
        license_name=licence if unlisted else None,
        tags=["audio", "codec", "tokenizer", *filter(None, [family])],
        eval_results=results,
    )
    return f"---\n{card.to_yaml()}\n---\n"
