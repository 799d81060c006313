"""Results as the metadata of a model card on the Hugging Face Hub (its `model-index`). No torch."""

from __future__ import annotations

from pathlib import Path

from audiotok import comparison, results
from audiotok.errors import ResultsError


def metadata(codec: str, folder: str | Path = "results") -> str:
    """The YAML between the `---` lines of a README.md: all that was measured of one codec.

    Args:
        codec: its name as results have it, or of the family that it alone is of.
        folder: of all results; only whole suites count.

    Raises:
        ResultsError: nothing was measured of it.
    """
    from huggingface_hub import EvalResult, ModelCardData

    groups = [group for _, group in results.by_setting(results.read_all(folder))]
    found = [one for group in groups if (one := comparison.named(group, codec)) is not None]
    found = [one for one in found if one.summary["data"]["limit"] is None]
    if not found:
        raise ResultsError(f"{folder} holds no whole suite of {codec}: run `audiotok bench` first")
    card = found[0].summary["codec"]
    rows = [
        EvalResult(
            task_type="audio-to-audio",
            task_name=f"{one.summary['suite']['name']} v{one.summary['suite']['version']}",
            dataset_type=one.summary["data"]["name"],
            dataset_name=one.summary["data"]["name"],
            dataset_revision=one.summary["data"]["sha256"],
            metric_type=name,
            metric_name=score["description"],
            metric_value=score["mean"],
            metric_config=score["unit"] or None,
        )
        for one in found
        for name, score in sorted(one.summary["scores"].items())
        if score["mean"] is not None
    ]
    licence = card.get("licence_weights") or card.get("licence_code")
    said = ModelCardData(
        model_name=found[0].codec,
        license=(licence or "other").lower(),
        tags=["audio", "audio-codec", "audiotok"],
        library_name="audiotok",
        eval_results=rows,
    )
    return said.to_yaml()
