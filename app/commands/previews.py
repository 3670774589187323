"""The output of `cloze pretrain --dry-run`: what is understood of the files, and what the job will take."""

from collections.abc import Iterator
from typing import Any

import typer

_MANY = 12  # characters of an alphabet that are printed


def print_validation(found: dict[str, Any]) -> None:
    for preview in found["previews"]:
        for line in describe_preview(preview):
            typer.echo(line)
        typer.echo()
    for line in describe_estimate(found["estimate"] or {}):
        typer.echo(line)


def describe_preview(preview: dict[str, Any]) -> Iterator[str]:
    """Yields lines of text."""
    about = "about " if preview["sampled"] else ""
    kinds = ", ".join(f"{count} × {kind}" if count > 1 else kind for kind, count in preview["read_as"].items())
    use = " (held out)" if preview["use"] == "validation_file" else ""
    yield f"{preview['filename']}{use}: {about}{preview['items']:,} items" + (f", read as {kinds}" if kinds else "")
    if preview["sampled"]:
        yield "  Only the beginning of the file was read."
    for item in preview["first_items"]:
        text = item["text"] if item["text"] is None else repr(item["text"])
        yield "  " + "  ".join(part for part in (text, item["name"] and f"({item['name']})") if part)
    if lengths := preview["lengths"]:
        shown = ", ".join(f"{name} {lengths[name]:,g}" for name in ("min", "median", "p95", "max"))
        yield f"  length in {lengths['unit']}: {shown}"
    if alphabet := preview["alphabet"]:
        listed = " ".join(f"{each['character']!r} {each['count']:,}" for each in alphabet["characters"][:_MANY])
        yield f"  alphabet of {alphabet['size']:,} characters: {listed}{' …' if alphabet['size'] > _MANY else ''}"
    if preview["duplicate_share"]:
        yield f"  duplicates: {preview['duplicate_share']:.1%}"
    for each in preview["header_fields"]:
        yield f"  header field {each['name']}: {each['values']:,} values, {', '.join(map(repr, each['first']))}"
    for entry in preview["left_out"]:
        yield f"  left out: {entry['count']:,} {entry['reason']} ({entry['example']})"
    yield from (f"  {each}" for each in preview["notes"])


def describe_estimate(estimate: dict[str, Any]) -> Iterator[str]:
    amounts = {"documents": "items", "tokens": "tokens", "training_tokens": "tokens to train on"}
    shown = [f"{estimate[name]:,} {unit}" for name, unit in amounts.items() if estimate.get(name) is not None]
    if estimate.get("seconds") is not None:
        shown.append(f"{estimate['seconds']:,.0f} s")
    if shown:
        yield f"The job: about {', '.join(shown)}."
    if tokenizer := estimate.get("tokenizer"):
        lost = f"; {tokenizer['unknown_share']:.1%} of the text is unknown" if tokenizer["unknown_share"] else ""
        yield f"The tokenizer: {tokenizer['type']}, {tokenizer['vocabulary']:,} entries, {tokenizer['reason']}{lost}."
