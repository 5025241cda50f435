"""ROAR: remove and retrain. Included by the Snakefile where a study asks for it; paths begin with <roar>.

One ranking an estimator and base network, made by groups that share their passes; one training slice an (estimator,
mode, level), whose trainings share out the networks' rankings.
"""

BASES = range(ROAR.values["base_networks"])
BASES_DIR = f"-p bases_dir results/{ROAR.name}"


# What all slices of ROAR share.
use rule slice as roar_slice with:
    log:
        "<roar_logs>/slice.log",
    resources:
        gpu=gpu(ROAR, ASKED_GPU),
        runtime=runtime(ROAR),
        mem_mb=memory(ROAR),
    params:
        file=ROAR.kept,


rule roar_images:
    """The images of a ROAR study, fitted to the input once."""
    input:
        again=roar_again("roar_images", "store/store.json"),
    output:
        "<roar>/store/store.json",
    log:
        "<roar_logs>/images.log",
    conda:
        ENVIRONMENT
    resources:
        runtime=runtime(ROAR),
        mem_mb=memory(ROAR),
    params:
        file=ROAR.kept,
        folder=subpath(output[0], parent=True),
        origin=ROAR.origin("roar_images"),
    shell:
        "python -m xailib.workflow images {params.file} {params.folder} > {log} 2>&1"


# Networks trained on images without the pixels that an estimator calls most important, or with nothing else.
use rule roar_slice as roar_retrain with:
    input:
        notebook=ancient(tracked("notebooks/roar_retrain.ipynb")),
        store="<roar>/store/store.json",
        rankings=expand("<roar>/base_{base}/{{estimator}}/ranking.json", base=BASES),
        again=roar_again("roar_retrain", "{estimator}/{mode}_{level}/retrain.json"),
    output:
        rows="<roar>/{estimator}/{mode}_{level}/rows.parquet",
        record="<roar>/{estimator}/{mode}_{level}/retrain.json",
        notebook="<roar>/{estimator}/{mode}_{level}/roar_retrain.ipynb",
    log:
        "<roar_logs>/{estimator}/{mode}_{level}.log",
    benchmark:
        "<roar_logs>/{estimator}/{mode}_{level}.tsv"
    params:
        also=f"-p estimator {{estimator}} -p mode {{mode}} -p level {{level}} {BASES_DIR}",
        origin=ROAR.origin("roar_retrain"),


# Networks trained on the unchanged images (t = 0); the first ones are those that estimators explain.
use rule roar_slice as roar_base with:
    input:
        notebook=ancient(tracked("notebooks/roar_retrain.ipynb")),
        store="<roar>/store/store.json",
        again=roar_again("roar_base", "base/retrain.json", estimator="none", mode="remove", level=0),
    output:
        expand("<roar>/base_{base}/weights.safetensors", base=BASES),
        rows="<roar>/base/rows.parquet",
        record="<roar>/base/retrain.json",
        notebook="<roar>/base/roar_retrain.ipynb",
    log:
        "<roar_logs>/base/retrain.log",
    benchmark:
        "<roar_logs>/base/retrain.tsv"
    params:
        also=f"-p estimator none -p level 0 {BASES_DIR}",
        origin=ROAR.origin("roar_base"),


# A rule that inherits cannot be named by a variable, so that the rankings say again what a slice is.
for GROUP, MEMBERS in ROAR.groups.items():

    rule:
        name:
            f"roar_rank_{GROUP}"
        input:
            notebook=ancient(tracked("notebooks/roar_rank.ipynb")),
            store="<roar>/store/store.json",
            weights="<roar>/base_{base}/weights.safetensors",
            estimators=[tracked(f"params/estimators/{id}.yaml") for id in MEMBERS],
            again=roar_again("roar_rank", f"base_{{base}}/ranks/{GROUP}.json", estimators=MEMBERS),
        output:
            rankings=expand("<roar>/base_{{base}}/{id}/ranking.json", id=MEMBERS),
            levels=expand("<roar>/base_{{base}}/{id}/{part}_levels.npy", id=MEMBERS, part=["train", "test"]),
            maps=expand("<roar>/base_{{base}}/{id}/maps.npz", id=MEMBERS),
            record=f"<roar>/base_{{base}}/ranks/{GROUP}.json",
            notebook=f"<roar>/base_{{base}}/ranks/{GROUP}.ipynb",
        log:
            f"<roar_logs>/base_{{base}}/ranks/{GROUP}.log",
        priority: 1
        conda:
            ENVIRONMENT
        resources:
            gpu=gpu(ROAR, ASKED_GPU, "roar_rank"),
            runtime=runtime(ROAR, "roar_rank"),
            mem_mb=memory(ROAR),
        params:
            file=ROAR.kept,
            members=json.dumps(MEMBERS),
            store=subpath(input.store, parent=True),
            folder=subpath(input.store, ancestor=2),
            origin=ROAR.origin("roar_rank", estimators=MEMBERS),
        shell:
            "python -m xailib.workflow slice {input.notebook} {log} --warm --final {output.notebook} -f {params.file}"
            " -p estimators '{params.members}' -p store_dir {params.store} -p bases_dir {params.folder}"
            " -p base {wildcards.base} -o record_path {output.record} > {log} 2>&1"


# The same rankings without retraining, by ROAD, by their masks alone, and by the four metrics.
use rule roar_slice as roar_trust with:
    input:
        notebook=ancient(tracked("notebooks/roar_trust.ipynb")),
        store="<roar>/store/store.json",
        networks=expand("<roar>/base_{base}/weights.safetensors", base=BASES),
        rankings=expand("<roar>/base_{base}/{{estimator}}/ranking.json", base=BASES),
        judges=[tracked(f"params/metrics/{metric}.yaml") for metric in TRUST_METRICS],
        again=roar_again("roar_trust", "{estimator}/trust.json"),
    output:
        trust="<roar>/{estimator}/trust.parquet",
        record="<roar>/{estimator}/trust.json",
        notebook="<roar>/{estimator}/roar_trust.ipynb",
    log:
        "<roar_logs>/{estimator}/trust.log",
    benchmark:
        "<roar_logs>/{estimator}/trust.tsv"
    params:
        also=lambda wildcards: (
            f"-p estimator {wildcards.estimator} -p mask_levels '{ROAR.mask_levels(wildcards.estimator)}' {BASES_DIR}"
        ),
        origin=ROAR.origin("roar_trust"),


# The paper's toy problem: 16 features, 4 of them informative.
use rule roar_slice as roar_toy with:
    input:
        notebook=ancient(tracked("notebooks/roar_toy.ipynb")),
    output:
        out="<roar>/toy.csv",
        record="<roar>/toy.json",
        notebook="<roar>/roar_toy.ipynb",
    log:
        "<roar_logs>/toy.log",
    params:
        also="-p seeds 50 -p seed 0",  # not the study's
        origin=ROAR.origin("roar_toy"),


rule roar_collect:
    """One table of all trainings, one of all checks."""
    input:
        tables=tables(ROAR, "roar_collect"),
        again=roar_again("roar_collect", "roar_collect.json"),
    output:
        roar="<roar>/roar.parquet",
        trust="<roar>/trust.parquet",
        record="<roar>/roar_collect.json",
    log:
        "<roar_logs>/collect.log",
    conda:
        ENVIRONMENT
    resources:
        runtime=runtime(ROAR),
        mem_mb=memory(ROAR),
    params:
        file=ROAR.kept,
        folder=subpath(output.roar, parent=True),
        origin=ROAR.origin("roar_collect"),
    shell:
        "python -m xailib.workflow collect {params.file} {params.folder} > {log} 2>&1"


# Tables, figures and claims of the whole ROAR study.
use rule roar_slice as roar_results with:
    input:
        notebook=ancient(tracked("notebooks/roar_results.ipynb")),
        tables=rules.roar_collect.output,
        toy="<roar>/toy.csv",
        again=roar_again("roar_results", "roar_results.ipynb"),
    output:
        notebook="<roar>/roar_results.ipynb",
    log:
        "<roar_logs>/results.log",
    params:
        also="-p results_dir {0} -p out_dir {0}/figures -p findings_dir {0}".format(f"results/{ROAR.name}"),
        origin=ROAR.origin("roar_results"),
