"""The study as a graph of slices: one executed notebook for every network, and every (network, method).

    snakemake                          the default study; profiles/default says how
    snakemake --config study=smoke     another file of params/studies/, or a path to one
    snakemake --config study=roar_pictograms
                                       a ROAR study (rules/roar.smk); the default study includes this one
    snakemake -n                       what would run, and why
    snakemake weights                  train the small networks again

It works in the current folder or that of `--directory`, and takes from what is shipped what is not there. Another
Snakefile takes it in by `include:` or `module:`, with the path that `xailib.workflow.snakefile()` returns, below an
`onstart:` of its own.

A slice's parameter files are its inputs, so editing one method's file re-runs that method only. `origin` in its `params`
stands for what Snakemake does not see: the study's values that it uses, its notebook's code without outputs, and the
sources of xailib that this code reaches (xailib/params/stages.py has the stages, xailib/workflow/digests.py the digests).
A failed slice leaves its executed notebook in logs/ and the others go on.
"""

import functools
import json
import sys
import time
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.12")

sys.path.insert(0, str(workflow.current_basedir))  # a checkout's xailib, installed or not

from xailib.errors import InputError
from xailib.params.facts import broken_plugins
from xailib.params.made_from import TRUST_METRICS
from xailib.workflow import locks
from xailib.workflow.cluster import endings, memory, runtime
from xailib.workflow.collect import parts
from xailib.workflow.digests import findings_code
from xailib.workflow.rules import (
    at_start,
    fetched,
    file_of,
    gpu,
    handed,
    initial_weights,
    made_again,
    settings,
    tables,
    to_train,
    tracked,
    use_this_folder,
    verbatim,
)
from xailib.workflow.scheduling import rest_between_jobs
from xailib.workflow.study import check, keep, open_studies
from xailib.workspace import SHIPPED

rest_between_jobs()

try:
    use_this_folder()
    NAME, ASKED_GPU = settings(config)
    # A job on a cluster's node reads this file again, when the study's own may have been edited.
    STUDY, ROAR = open_studies(NAME, running=not workflow.is_main_process)
    if workflow.is_main_process:
        check(STUDY, ROAR)
except InputError as error:
    raise WorkflowError(str(error)) from None
if workflow.is_main_process:
    locks.clear(Path(".snakemake"))
for sentence in broken_plugins():
    logger.warning(f"{sentence}; what it defines is left out")
if STUDY.skipped:
    logger.info(f"Left out: {', '.join(f'{model} x {method}' for model, method, _ in STUDY.skipped)} (see skipped.csv)")

STARTED = time.time()
# Asked for every job, and one run goes by one state of the files.
fetched, probed = functools.cache(fetched), functools.cache(STUDY.probed)
again = made_again(workflow, STUDY)
RESULTS = f"results/{STUDY.name}"
DATASET = tracked(f"params/datasets/{STUDY.values['dataset']}.yaml")
METRICS = {
    stage: [tracked(f"params/metrics/{metric}.yaml") for metric in STUDY.judges(stage)]
    for stage in ("evaluate", "indomain")
}
ENVIRONMENT = str(SHIPPED / "environment.yml")
CHOSEN = "<results>/chosen.json" if STUDY.chooses else []
FINALS = [f"<results>/{notebook}.ipynb" for notebook in STUDY.finals]
FINALS += ["<roar>/roar_results.ipynb"] if ROAR else []


# From then on slices read results/STUDY/study.yaml, so that an edit cannot mix two studies.
at_start(workflow, lambda: keep(STUDY, ROAR))


onsuccess:
    for sentence in endings(".snakemake/slurm_logs", STARTED):
        print(sentence, file=sys.stderr)


onerror:
    for sentence in endings(".snakemake/slurm_logs", STARTED):
        print(sentence, file=sys.stderr)


pathvars:
    results=RESULTS,
    logs=f"logs/{STUDY.name}",
    roar=f"results/{ROAR.name if ROAR else 'none'}",
    roar_logs=f"logs/{ROAR.name if ROAR else 'none'}",


resource_scopes:
    gpu="local",


wildcard_constraints:
    model="[a-z0-9_]+",
    method="[a-z0-9_]+",
    metric="[a-z0-9_]+",
    notebook="explainability|correlation|gallery|compare",
    estimator="[a-z0-9_]+",
    mode="remove|keep",
    level="[0-9]+",
    base="[0-9]+",


rule all:
    """Everything, up to the report."""
    input:
        "<results>/report.html",
    localrule: True


rule slice:
    """What all slices share: a notebook, executed with the values of the study, of its parameter files and of `also`.

    Input and output files are handed to the notebook by their names here; see `handed`. A slice takes the time, memory and
    GPU of its rule in `xailib.params.stages`, and `origin` is all that its results depend on beside its input files.
    """
    log:
        "<logs>/slice.log",
    conda:
        ENVIRONMENT
    resources:
        gpu=gpu(STUDY, ASKED_GPU),
        runtime=runtime(STUDY),
        mem_mb=memory(STUDY),
    params:
        file=STUDY.kept,
        files=handed,
        warm="--warm",
        also="",
    shell:
        "python -m xailib.workflow slice {input.notebook} {log} {params.warm} --final {output.notebook} -f {params.file}"
        " {params.files} {params.also} > {log} 2>&1"


# Whether one network is as accurate as its record says: `predict`, on a few hundred clean images and no others.
use rule slice as probe with:
    input:
        notebook=ancient(tracked("notebooks/predict.ipynb")),
        dataset=DATASET,
        model=file_of("models"),
        fetched=lambda wildcards: fetched(wildcards.model),
        again=again("probe", "{model}/probe/probe.json"),
    output:
        predictions="<results>/{model}/probe/predictions.parquet",
        accuracy="<results>/{model}/probe/accuracy.parquet",
        record="<results>/{model}/probe/probe.json",
        notebook="<results>/{model}/probe/predict.ipynb",
    log:
        "<logs>/{model}/probe.log",
    params:
        also="-p limit 1 -p only_correct false -p accuracy_images 500 -p shifts none -p attack_images 0",
        origin=STUDY.origin("probe"),


# What one network says, and how often it is right: clean, shifted, attacked.
use rule slice as predict with:
    input:
        notebook=ancient(tracked("notebooks/predict.ipynb")),
        dataset=DATASET,
        model=file_of("models"),
        fetched=lambda wildcards: fetched(wildcards.model),
        again=again("predict", "{model}/predict.json"),
    output:
        predictions="<results>/{model}/predictions.parquet",
        accuracy="<results>/{model}/accuracy.parquet",
        record="<results>/{model}/predict.json",
        notebook="<results>/{model}/predict.ipynb",
    log:
        "<logs>/{model}/predict.log",
    benchmark:
        "<logs>/{model}/predict.tsv"
    params:
        origin=STUDY.origin("predict"),


if STUDY.chooses:

    # A checkpoint: once it has run, Snakemake looks anew at what depends on it, and makes no map where the choice is the same.
    checkpoint choose:
        input:
            predictions=expand("<results>/{model}/predictions.parquet", model=STUDY.models),
            again=again("choose", "choose.json"),
        output:
            chosen=CHOSEN,
            record="<results>/choose.json",
        log:
            "<logs>/choose.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            file=STUDY.kept,
            folder=subpath(output.chosen, parent=True),
            origin=STUDY.origin("choose"),
        shell:
            "python -m xailib.workflow choose {params.file} {params.folder} > {log} 2>&1"


# The maps of one method on one network. A network that `probe` refuses gets none; one that it let pass keeps its maps,
# whatever re-runs the probe (`ancient`).
use rule slice as attribute with:
    input:
        notebook=ancient(tracked("notebooks/attribute.ipynb")),
        dataset=DATASET,
        model=file_of("models"),
        method=file_of("methods"),
        chosen=CHOSEN,
        fetched=lambda wildcards: fetched(wildcards.model),
        probed=ancient(lambda wildcards: probed(wildcards.model)),
        again=again("attribute", "{model}/{method}/attribute.json"),
    output:
        maps="<results>/{model}/{method}/maps.npz",
        record="<results>/{model}/{method}/attribute.json",
        notebook="<results>/{model}/{method}/attribute.ipynb",
    log:
        "<logs>/{model}/{method}/attribute.log",
    benchmark:
        "<logs>/{model}/{method}/attribute.tsv"
    params:
        origin=STUDY.origin("attribute"),


# The scores of one method on one network, by every metric.
use rule slice as evaluate with:
    input:
        notebook=ancient(tracked("notebooks/evaluate.ipynb")),
        dataset=DATASET,
        model=file_of("models"),
        method=file_of("methods"),
        chosen=CHOSEN,
        fetched=lambda wildcards: fetched(wildcards.model),
        metrics=METRICS["evaluate"],
        maps="<results>/{model}/{method}/maps.npz",
        again=again("evaluate", "{model}/{method}/evaluate.json"),
    output:
        scores="<results>/{model}/{method}/scores.parquet",
        reliability="<results>/{model}/{method}/reliability.parquet",
        curves="<results>/{model}/{method}/curves.npz",
        record="<results>/{model}/{method}/evaluate.json",
        notebook="<results>/{model}/{method}/evaluate.ipynb",
    log:
        "<logs>/{model}/{method}/evaluate.log",
    benchmark:
        "<logs>/{model}/{method}/evaluate.tsv"
    params:
        origin=STUDY.origin("evaluate"),


# A copy of one network that knows images with parts deleted, as one metric deletes them.
use rule slice as finetune with:
    input:
        notebook=ancient(tracked("notebooks/finetune.ipynb")),
        dataset=DATASET,
        model=file_of("models"),
        metric=file_of("metrics"),
        fetched=lambda wildcards: fetched(wildcards.model),
        probed=ancient(lambda wildcards: probed(wildcards.model)),
        again=again("finetune", "{model}/finetuned/{metric}/finetune.json"),
    output:
        weights="<results>/{model}/finetuned/{metric}/weights.safetensors",
        record="<results>/{model}/finetuned/{metric}/finetune.json",
        notebook="<results>/{model}/finetuned/{metric}/finetune.ipynb",
    log:
        "<logs>/{model}/finetuned/{metric}.log",
    params:
        origin=STUDY.origin("finetune"),


# The scores of one method on the fine-tuned copies of one network, by the metrics that ask for them.
use rule slice as indomain with:
    input:
        notebook=ancient(tracked("notebooks/indomain.ipynb")),
        dataset=DATASET,
        model=file_of("models"),
        method=file_of("methods"),
        chosen=CHOSEN,
        fetched=lambda wildcards: fetched(wildcards.model),
        metrics=METRICS["indomain"],
        maps="<results>/{model}/{method}/maps.npz",
        copies=expand("<results>/{{model}}/finetuned/{metric}/weights.safetensors", metric=STUDY.judges("indomain")),
        again=again("indomain", "{model}/{method}/indomain.json"),
    output:
        scores="<results>/{model}/{method}/indomain.parquet",
        record="<results>/{model}/{method}/indomain.json",
        notebook="<results>/{model}/{method}/indomain.ipynb",
    log:
        "<logs>/{model}/{method}/indomain.log",
    params:
        also=lambda wildcards: f"-p copies_dir {RESULTS}/{wildcards.model}/finetuned",
        origin=STUDY.origin("indomain"),


# Whether the maps of a comparison follow the network: explained again while its weights are randomised.
use rule slice as sanity with:
    input:
        notebook=ancient(tracked("notebooks/sanity.ipynb")),
        dataset=DATASET,
        model=file_of("models"),
        method=file_of("methods"),
        chosen=CHOSEN,
        fetched=lambda wildcards: fetched(wildcards.model),
        probed=ancient(lambda wildcards: probed(wildcards.model)),
        again=again("sanity", "{model}/{method}/sanity.json"),
    output:
        sanity="<results>/{model}/{method}/sanity.parquet",
        record="<results>/{model}/{method}/sanity.json",
        notebook="<results>/{model}/{method}/sanity.ipynb",
    log:
        "<logs>/{model}/{method}/sanity.log",
    params:
        origin=STUDY.origin("sanity"),


rule collect:
    """The slices' tables in one: all that the final notebooks read, maps apart."""
    input:
        tables=tables(STUDY, "collect"),
        again=again("collect", "collect.json"),
    output:
        **{name: f"<results>/{name}.parquet" for name in parts(STUDY, "collect")},
        skipped="<results>/skipped.csv",
        record="<results>/collect.json",
    log:
        "<logs>/collect.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        file=STUDY.kept,
        folder=subpath(output.skipped, parent=True),
        skipped=verbatim(str(STUDY.skipped)),
        origin=STUDY.origin("collect"),
    shell:
        "python -m xailib.workflow collect {params.file} {params.folder} > {log} 2>&1"


# A final notebook: tables, figures and findings of the whole study.
use rule slice as final with:
    input:
        notebook=ancient(lambda wildcards: tracked(f"notebooks/{wildcards.notebook}.ipynb")),
        tables=rules.collect.output,
        again=again("final", "{notebook}.ipynb"),
    output:
        notebook="<results>/{notebook}.ipynb",
    log:
        "<logs>/{notebook}.log",
    params:
        also=lambda wildcards: (
            f"-p results_dir {RESULTS} -p out_dir {RESULTS}/figures"
            + (f" -p findings_dir {RESULTS}" if wildcards.notebook == "explainability" else "")
        ),
        others=findings_code(STUDY.values.get("compare", [])),
        origin=STUDY.origin("final"),


# The report's notebook: findings first, the final notebooks as they were executed, parameters, provenance.
use rule slice as report_notebook with:
    input:
        notebook=ancient(tracked("notebooks/report.ipynb")),
        finals=FINALS,
    output:
        notebook="<results>/report.ipynb",
    log:
        "<logs>/report_notebook.log",
    localrule: True
    params:
        also=f"-p results_dir {RESULTS}" + (f" -p roar_dir results/{ROAR.name}" if ROAR and STUDY.models else ""),
        origin=STUDY.origin("report_notebook"),


rule report:
    """The report as one HTML file that needs no network."""
    input:
        rules.report_notebook.output,
    output:
        report("<results>/report.html", category="The study"),
    log:
        "<logs>/report.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        origin=STUDY.origin("report"),
    shell:
        "python -m xailib.workflow report {input} {output} > {log} 2>&1"


if ROAR:
    roar_again = made_again(workflow, ROAR)

    include: "rules/roar.smk"


include: "rules/networks.smk"
