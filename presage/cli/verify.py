"""`presage verify`: what is wrong with the manifests, before a cluster sees them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from presage.cli.failures import say
from presage.cli.output import Output, OutputOption, print_json
from presage.errors import UsageError

if TYPE_CHECKING:
    from presage.manifests.verify import Finding, Verification


def verify(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="YAML files, or folders of them; default: the overlays.")] = None,
    *,
    overlay: Annotated[list[str] | None, typer.Option("--overlay", metavar="NAME", help="A folder of manifests/overlays (repeatable); default: all.")] = None,
    schemas: Annotated[
        Path | None, typer.Option("--schemas", metavar="DIR", envvar="PRESAGE_SCHEMAS", help="Schemas of custom kinds: <group>/<kind>_<version>.json.")
    ] = None,
    release: Annotated[bool, typer.Option("--release", help="What a release must have settled (digests, publishing) is an error.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules with what they claim, and leave.")] = False,
    running: Annotated[bool, typer.Option("--running", help="Compare what runs with what is rendered, field by field.")] = False,
    output: OutputOption = Output.table,
) -> int:
    """Check the committed manifests, and what controllers would make of them: schemas, references, traps, Pod security.

    Exit code 0 where nothing is found but warnings, 1 where an error is, 2 for a wrong command line.
    """
    if rules:
        return _list_rules(output)
    if running:
        if paths or overlay or release:
            raise UsageError("--running compares the overlay that runs; it takes neither paths nor --overlay nor --release. Leave them out.")
        return _running(output)
    if paths and overlay:
        raise UsageError("--overlay and paths exclude each other. Name one of them.")
    from presage.manifests.verify import verify as verify_manifests

    verification = verify_manifests(overlays=overlay or [], paths=paths or [], schemas=schemas, release=release)
    if output is Output.json:
        print_json({"findings": verification.findings, "objects": verification.objects, "seconds": verification.seconds})
    else:
        for finding in verification.findings:
            _print(finding)
    for left_out in verification.unchecked:
        say(f"not checked: {left_out}")
    _tally(verification, output)
    return 1 if verification.errors else 0


def _print(finding: "Finding") -> None:
    mark = f"{finding.severity.value}, waived" if finding.waived else finding.severity.value
    place = f"{finding.object}: {finding.path}" if finding.path else finding.object
    remedy = "" if finding.remedy == "as the sentence says" else f" {finding.remedy[:1].upper()}{finding.remedy[1:]}."
    print(f"{mark:<8} {finding.rule}\n         {place} {finding.message}.{remedy}")


def _tally(verification: "Verification", output: Output) -> None:
    counts = [_counted(verification.objects, "object"), _counted(len(verification.errors), "error"), _counted(len(verification.warnings), "warning")]
    if verification.waived:
        counts.append(f"{len(verification.waived)} waived")
    print(f"{', '.join(counts)} in {verification.seconds:.1f} s", file=sys.stdout if output is Output.table else sys.stderr)


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _list_rules(output: Output) -> int:
    from presage.manifests.verify.registry import all_rules

    listed = [{"rule": one.id, "severity": one.severity.value, "claim": one.claim, "remedy": one.remedy} for one in all_rules()]
    if output is Output.json:
        print_json({"rules": listed})
    else:
        for one in listed:
            print(f"{one['severity']:<8} {one['rule']:<34} {one['claim']}")
    return 0


def _running(output: Output) -> int:
    from presage.local.compare import compare

    differences = compare()
    if output is Output.json:
        print_json({"differences": differences})
    else:
        for difference in differences:
            print(difference)
        print("what runs is what is rendered" if not differences else _counted(len(differences), "difference"))
    return 1 if differences else 0
