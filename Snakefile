"""The study as a graph of slices: one executed notebook for every network, and every (network, method).

    snakemake                          the default study; profiles/default says how
    snakemake --config study=smoke     another file of params/studies/, or a path to one
    snakemake --config study=roar_pictograms
                                       a ROAR study (rules in roar.smk); the default study includes this one
    snakemake -n                       what would run, and why
    snakemake weights                  train the small networks again

A slice's parameter files are its inputs, so editing one method's file re-runs that method only. Two digests in `params`
stand for what Snakemake does not see: a notebook's code without its outputs, and the sources of xailib behind a slice.
A failed slice leaves its executed notebook in logs/ and the others go on.
"""

import functools
import json
import os
import sys
import time
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.12")

if os.path.realpath(os.curdir) != os.path.realpath(workflow.basedir):
    raise WorkflowError(f"the study runs in the folder of this Snakefile: snakemake -d '{workflow.basedir}' ...")

sys.path.insert(0, workflow.basedir)  # this checkout's xailib, installed or not

from xailib.workflow import locks
from xailib.workflow.cluster import endings, memory, runtime
from xailib.errors import InputError
from xailib.workflow.scheduling import rest_between_jobs
from xailib.workflow.digests import findings_code, lib_code, nb_code
from xailib.workflow.study import (
    check,
    fetched,
    gpus,
    initial_weights,
    keep,
    made_again,
    open_studies,
    settings,
    use_this_python,
    verbatim,
)

use_this_python()
rest_between_jobs()

try:
    NAME, ASKED_GPU = settings(config)
    # A job on a cluster's node reads this file again, when the study's own may have been edited.
    STUDY, ROAR = open_studies(NAME, running=not workflow.is_main_process)
    if workflow.is_main_process:
        check(STUDY, ROAR)
except InputError as error:
    raise WorkflowError(str(error)) from None
if workflow.is_main_process:
    locks.clear(Path(".snakemake"))
if STUDY.skipped:
    logger.info(f"Left out: {', '.join(f'{model} x {method}' for model, method, _ in STUDY.skipped)} (see skipped.csv)")

STARTED = time.time()
# Asked for every job, and one run goes by one state of the files.
fetched, probed = functools.cache(fetched), functools.cache(STUDY.probed)
again = made_again(workflow, STUDY)
# A slice asks for a GPU where there is one; `--config gpu=1` asks on a login node without one, gpu=0 never.
GPU = gpus(STUDY.values["device"]) if ASKED_GPU is None else ASKED_GPU
FINALS = [f"<results>/{notebook}.ipynb" for notebook in ("explainability", "correlation", "gallery") if STUDY.models]
FINALS += ["<roar>/roar_results.ipynb"] if ROAR else []


onstart:
    keep(STUDY, ROAR)  # from here on slices read results/STUDY/study.yaml, so that an edit cannot mix two studies


onsuccess:
    for sentence in endings(".snakemake/slurm_logs", STARTED):
        print(sentence, file=sys.stderr)


onerror:
    for sentence in endings(".snakemake/slurm_logs", STARTED):
        print(sentence, file=sys.stderr)


pathvars:
    results=f"results/{STUDY.name}",
    logs=f"logs/{STUDY.name}",
    roar=f"results/{ROAR.name if ROAR else 'none'}",
    roar_logs=f"logs/{ROAR.name if ROAR else 'none'}",


resource_scopes:
    gpu="local",


wildcard_constraints:
    model="[a-z0-9_]+",
    method="[a-z0-9_]+",
    notebook="explainability|correlation|gallery",
    estimator="[a-z0-9_]+",
    mode="remove|keep",
    level="[0-9]+",


localrules:
    all,
    collect,
    report,


rule all:
    """Everything, up to the report."""
    input:
        "<results>/report.html",


rule probe:
    """Whether one network is as accurate as its record says: `predict`, on a few hundred clean images and no others.

    What it depends on is a part of what maps depend on, so that it never makes them again where nothing else would.
    """
    input:
        notebook=ancient("notebooks/predict.ipynb"),
        dataset=f"params/datasets/{STUDY.values['dataset']}.yaml",
        model="params/models/{model}.yaml",
        weights=lambda wildcards: fetched(wildcards.model),
        again=again("probe", "{model}/probe/probe.json"),
    output:
        predictions="<results>/{model}/probe/predictions.parquet",
        accuracy="<results>/{model}/probe/accuracy.parquet",
        record="<results>/{model}/probe/probe.json",
        notebook="<results>/{model}/probe/predict.ipynb",
    log:
        "<logs>/{model}/probe.log",
    conda:
        "environment.yml"
    resources:
        gpu=GPU,
        runtime=runtime(STUDY, "predict"),
        mem_mb=memory(STUDY),
    params:
        file=STUDY.kept,
        study=verbatim(STUDY.needs("probe")),
        lib=lib_code("probe"),
    shell:
        "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook} -f {params.file} -f {input.dataset}"
        " -f {input.model} -p limit 1 -p accuracy_images 500 -p shifts none -p attack_images 0"
        " -o predictions_path {output.predictions} -o accuracy_path {output.accuracy} -o record_path {output.record}"
        " > {log} 2>&1"


rule predict:
    """What one network says, and how often it is right: clean, shifted, attacked."""
    input:
        notebook=ancient("notebooks/predict.ipynb"),
        dataset=f"params/datasets/{STUDY.values['dataset']}.yaml",
        model="params/models/{model}.yaml",
        weights=lambda wildcards: fetched(wildcards.model),
        again=again("predict", "{model}/predict.json"),
    output:
        predictions="<results>/{model}/predictions.parquet",
        accuracy="<results>/{model}/accuracy.parquet",
        record="<results>/{model}/predict.json",
        notebook="<results>/{model}/predict.ipynb",
    log:
        "<logs>/{model}/predict.log",
    conda:
        "environment.yml"
    resources:
        gpu=GPU,
        runtime=runtime(STUDY, "predict"),
        mem_mb=memory(STUDY),
    params:
        file=STUDY.kept,
        study=verbatim(STUDY.needs("predict")),
        code=nb_code("notebooks/predict.ipynb"),
        lib=lib_code("predict"),
    shell:
        "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook}"
        " -f {params.file} -f {input.dataset} -f {input.model} -o predictions_path {output.predictions}"
        " -o accuracy_path {output.accuracy} -o record_path {output.record} > {log} 2>&1"


rule attribute:
    """The maps of one method on one network. A network that `probe` refuses gets none."""
    input:
        notebook=ancient("notebooks/attribute.ipynb"),
        dataset=f"params/datasets/{STUDY.values['dataset']}.yaml",
        model="params/models/{model}.yaml",
        weights=lambda wildcards: fetched(wildcards.model),
        probed=lambda wildcards: probed(wildcards.model),
        method="params/methods/{method}.yaml",
        again=again("attribute", "{model}/{method}/attribute.json"),
    output:
        maps="<results>/{model}/{method}/maps.npz",
        record="<results>/{model}/{method}/attribute.json",
        notebook="<results>/{model}/{method}/attribute.ipynb",
    log:
        "<logs>/{model}/{method}/attribute.log",
    conda:
        "environment.yml"
    resources:
        gpu=GPU,
        runtime=runtime(STUDY, "attribute"),
        mem_mb=memory(STUDY),
    params:
        file=STUDY.kept,
        study=verbatim(STUDY.needs("attribute")),
        code=nb_code("notebooks/attribute.ipynb"),
        lib=lambda wildcards: lib_code("attribute", "methods", wildcards.method),
    shell:
        "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook}"
        " -f {params.file} -f {input.dataset} -f {input.model} -f {input.method}"
        " -o maps_path {output.maps} -o record_path {output.record} > {log} 2>&1"


rule evaluate:
    """The scores of one method on one network, by every metric."""
    input:
        notebook=ancient("notebooks/evaluate.ipynb"),
        dataset=f"params/datasets/{STUDY.values['dataset']}.yaml",
        model="params/models/{model}.yaml",
        weights=lambda wildcards: fetched(wildcards.model),
        method="params/methods/{method}.yaml",
        metrics=expand("params/metrics/{metric}.yaml", metric=STUDY.metrics),
        maps="<results>/{model}/{method}/maps.npz",
        again=again("evaluate", "{model}/{method}/evaluate.json"),
    output:
        scores="<results>/{model}/{method}/scores.parquet",
        reliability="<results>/{model}/{method}/reliability.parquet",
        record="<results>/{model}/{method}/evaluate.json",
        notebook="<results>/{model}/{method}/evaluate.ipynb",
    log:
        "<logs>/{model}/{method}/evaluate.log",
    conda:
        "environment.yml"
    resources:
        gpu=GPU,
        runtime=runtime(STUDY, "evaluate"),
        mem_mb=memory(STUDY),
    params:
        file=STUDY.kept,
        study=verbatim(STUDY.needs("evaluate")),
        code=nb_code("notebooks/evaluate.ipynb"),
        lib=lib_code("evaluate", "metrics", *STUDY.metrics),
    shell:
        "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook}"
        " -f {params.file} -f {input.dataset} -f {input.model} -f {input.method} -p maps_path {input.maps}"
        " -o scores_path {output.scores} -o reliability_path {output.reliability} -o record_path {output.record}"
        " > {log} 2>&1"


rule collect:
    """The slices' tables in one: all that the final notebooks read, maps apart."""
    input:
        scores=[f"<results>/{model}/{method}/scores.parquet" for model, method in STUDY.pairs],
        reliability=[f"<results>/{model}/{method}/reliability.parquet" for model, method in STUDY.pairs],
        predictions=expand("<results>/{model}/predictions.parquet", model=STUDY.models),
        again=again("collect", "collect.json"),
    output:
        scores="<results>/scores.parquet",
        reliability="<results>/reliability.parquet",
        predictions="<results>/predictions.parquet",
        accuracy="<results>/accuracy.parquet",
        skipped="<results>/skipped.csv",
        record="<results>/collect.json",
    log:
        "<logs>/collect.log",
    conda:
        "environment.yml"
    params:
        file=STUDY.kept,
        folder=subpath(output.scores, parent=True),
        skipped=verbatim(str(STUDY.skipped)),
    shell:
        "python -m xailib.workflow.study collect {params.file} {params.folder} > {log} 2>&1"


rule final:
    """A final notebook: tables, figures and findings of the whole study."""
    input:
        notebook=ancient("notebooks/{notebook}.ipynb"),
        tables=rules.collect.output,
        again=again("analysis", "{notebook}.ipynb"),
    output:
        notebook="<results>/{notebook}.ipynb",
    log:
        "<logs>/{notebook}.log",
    conda:
        "environment.yml"
    resources:
        runtime=runtime(STUDY, "analysis"),
        mem_mb=memory(STUDY),
    params:
        file=STUDY.kept,
        folder=subpath(output.notebook, parent=True),
        study=verbatim(STUDY.needs("analysis")),
        findings=lambda wildcards, output: (
            f"-p findings_dir {Path(output.notebook).parent}" if wildcards.notebook == "explainability" else ""
        ),
        others=findings_code(STUDY.values.get("compare", [])),
        code=lambda wildcards: nb_code(f"notebooks/{wildcards.notebook}.ipynb"),
        lib=lib_code("analysis"),
    shell:
        "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook} -f {params.file}"
        " -p results_dir {params.folder} -p out_dir {params.folder}/figures {params.findings} > {log} 2>&1"


rule report:
    """One HTML file that needs no network: findings, figures, and every slice's notebook by link."""
    input:
        FINALS,
    output:
        "<results>/report.html",
    log:
        "<logs>/report.log",
    conda:
        "environment.yml"
    params:
        folder=subpath(output[0], parent=True),
        roar=f"--roar results/{ROAR.name}" if ROAR and STUDY.models else "",
        lib=lib_code("analysis"),
    shell:
        "python -m xailib.analysis.report {params.folder} {output} {params.roar} > {log} 2>&1"


if ROAR:
    ROAR_GPU = gpus(ROAR.values["device"]) if ASKED_GPU is None else ASKED_GPU

    roar_again = made_again(workflow, ROAR)

    include: "roar.smk"


include: "networks.smk"
