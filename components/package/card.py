"""The model card: made from the run and the policy, never written by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presage.governance.model_policy import ModelPolicy
from presage.package.contract import Contract

TEMPLATE = Path(__file__).with_name("card.md.j2")


def model_card(model: str, family: str, *, contract: Contract, policy: ModelPolicy, metrics: Mapping[str, Any], lineage: Mapping[str, Any]) -> str:
    """Markdown with the metadata block that model hubs read. The same facts give the same text."""
    import jinja2
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        model_name=model,
        license="apache-2.0",
        library_name="onnx",
        pipeline_tag="tabular-classification" if contract.kind == "feature_row" else "time-series-forecasting",
        tags=["presage", "incident-prediction", family.replace("_", "-")],
    )
    # Markdown, not HTML: escaping would spoil it, and every value is our own or from the reviewed policy
    environment = jinja2.Environment(trim_blocks=False, keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    environment.filters |= {"number": _number, "percent": _percent}
    template = environment.from_string(TEMPLATE.read_text())
    return template.render(
        card_data=data.to_yaml(),
        model=model,
        family=family,
        contract=contract,
        policy=policy,
        thresholds=policy.thresholds,
        metrics=metrics,
        lineage=lineage,
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.3g} %"
