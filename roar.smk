"""ROAR: remove and retrain. Included by the Snakefile where a study asks for it; paths begin with <roar>.

One ranking an estimator, made by groups that share their passes; one training slice an (estimator, mode, level).
"""


rule roar_images:
    """The images of a ROAR study, fitted to the input once."""
    input:
        again=roar_again("roar_images", "store/store.json"),
    output:
        "<roar>/store/store.json",
    log:
        "<roar_logs>/images.log",
    conda:
        "environment.yml"
    resources:
        runtime=runtime(ROAR, "roar_images"),
        mem_mb=memory(ROAR),
    params:
        file=ROAR.kept,
        folder=subpath(output[0], parent=True),
        study=verbatim(ROAR.needs("roar_images")),
        lib=lib_code("roar_images"),
    shell:
        "python -m xailib.workflow.roar_study images {params.file} {params.folder} > {log} 2>&1"


rule roar_base:
    """Networks trained on the unchanged images (t = 0); the first is the one that estimators explain."""
    input:
        notebook=ancient("notebooks/roar_retrain.ipynb"),
        store="<roar>/store/store.json",
        again=roar_again("roar_retrain", "base/retrain.json", estimator="none", mode="remove", level=0),
    output:
        rows="<roar>/base/rows.parquet",
        weights="<roar>/base/weights.safetensors",
        record="<roar>/base/retrain.json",
        notebook="<roar>/base/roar_retrain.ipynb",
    log:
        "<roar_logs>/base/retrain.log",
    conda:
        "environment.yml"
    resources:
        gpu=ROAR_GPU,
        runtime=runtime(ROAR, "roar_base"),
        mem_mb=memory(ROAR),
    params:
        file=ROAR.kept,
        store=subpath(input.store, parent=True),
        study=verbatim(ROAR.needs("roar_retrain")),
        code=nb_code("notebooks/roar_retrain.ipynb"),
        lib=lib_code("roar_retrain"),
    shell:
        "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook} -f {params.file}"
        " -p store_dir {params.store} -p estimator none -p level 0 -o rows_path {output.rows}"
        " -o weights_path {output.weights} -o record_path {output.record} > {log} 2>&1"


for GROUP, MEMBERS in ROAR.groups.items():

    rule:
        name:
            f"roar_rank_{GROUP}"
        input:
            notebook=ancient("notebooks/roar_rank.ipynb"),
            store="<roar>/store/store.json",
            weights="<roar>/base/weights.safetensors",
            estimators=expand("params/estimators/{id}.yaml", id=MEMBERS),
            again=roar_again("roar_rank", f"ranks/{GROUP}.json", estimators=MEMBERS),
        output:
            rankings=expand("<roar>/{id}/ranking.json", id=MEMBERS),
            levels=expand("<roar>/{id}/{part}_levels.npy", id=MEMBERS, part=["train", "test"]),
            maps=expand("<roar>/{id}/maps.npz", id=MEMBERS),
            record=f"<roar>/ranks/{GROUP}.json",
            notebook=f"<roar>/ranks/{GROUP}.ipynb",
        log:
            f"<roar_logs>/ranks/{GROUP}.log",
        priority: 1
        conda:
            "environment.yml"
        resources:
            gpu=ROAR_GPU,
            runtime=runtime(ROAR, "roar_rank"),
            mem_mb=memory(ROAR),
        params:
            file=ROAR.kept,
            members=json.dumps(MEMBERS),
            store=subpath(input.store, parent=True),
            folder=subpath(input.store, ancestor=2),
            study=verbatim(ROAR.needs("roar_rank")),
            code=nb_code("notebooks/roar_rank.ipynb"),
            lib=lib_code("roar_rank"),
        shell:
            "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook} -f {params.file}"
            " -p estimators '{params.members}' -p store_dir {params.store} -p weights_path {input.weights}"
            " -p out_dir {params.folder} -o record_path {output.record} > {log} 2>&1"


rule roar_retrain:
    """Networks trained on images without the pixels that an estimator calls most important, or with nothing else."""
    input:
        notebook=ancient("notebooks/roar_retrain.ipynb"),
        store="<roar>/store/store.json",
        ranking="<roar>/{estimator}/ranking.json",
        again=roar_again("roar_retrain", "{estimator}/{mode}_{level}/retrain.json"),
    output:
        rows="<roar>/{estimator}/{mode}_{level}/rows.parquet",
        record="<roar>/{estimator}/{mode}_{level}/retrain.json",
        notebook="<roar>/{estimator}/{mode}_{level}/roar_retrain.ipynb",
    log:
        "<roar_logs>/{estimator}/{mode}_{level}.log",
    conda:
        "environment.yml"
    resources:
        gpu=ROAR_GPU,
        runtime=runtime(ROAR, "roar_retrain"),
        mem_mb=memory(ROAR),
    params:
        file=ROAR.kept,
        store=subpath(input.store, parent=True),
        ranking=subpath(input.ranking, parent=True),
        study=verbatim(ROAR.needs("roar_retrain")),
        code=nb_code("notebooks/roar_retrain.ipynb"),
        lib=lib_code("roar_retrain"),
    shell:
        "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook} -f {params.file}"
        " -p store_dir {params.store} -p ranking_dir {params.ranking} -p estimator {wildcards.estimator}"
        " -p mode {wildcards.mode} -p level {wildcards.level} -o rows_path {output.rows}"
        " -o record_path {output.record} > {log} 2>&1"


rule roar_trust:
    """The same ranking without retraining, by ROAD, by its masks alone, and by the four metrics."""
    input:
        notebook=ancient("notebooks/roar_trust.ipynb"),
        store="<roar>/store/store.json",
        weights="<roar>/base/weights.safetensors",
        ranking="<roar>/{estimator}/ranking.json",
        metrics=expand(
            "params/metrics/{metric}.yaml", metric=["pointing_game", "localisation", "deletion", "insertion"]
        ),
        again=roar_again("roar_trust", "{estimator}/trust.json"),
    output:
        trust="<roar>/{estimator}/trust.parquet",
        record="<roar>/{estimator}/trust.json",
        notebook="<roar>/{estimator}/roar_trust.ipynb",
    log:
        "<roar_logs>/{estimator}/trust.log",
    conda:
        "environment.yml"
    resources:
        gpu=ROAR_GPU,
        runtime=runtime(ROAR, "roar_trust"),
        mem_mb=memory(ROAR),
    params:
        file=ROAR.kept,
        store=subpath(input.store, parent=True),
        ranking=subpath(input.ranking, parent=True),
        mask_level=lambda wildcards: ROAR.mask_level(wildcards.estimator),
        study=verbatim(ROAR.needs("roar_trust")),
        code=nb_code("notebooks/roar_trust.ipynb"),
        lib=lib_code("roar_trust"),
    shell:
        "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook} -f {params.file}"
        " -p store_dir {params.store} -p ranking_dir {params.ranking} -p weights_path {input.weights}"
        " -p estimator {wildcards.estimator} -p mask_level {params.mask_level} -o trust_path {output.trust}"
        " -o record_path {output.record} > {log} 2>&1"


rule roar_toy:
    """The paper's toy problem: 16 features, 4 of them informative."""
    input:
        notebook=ancient("notebooks/roar_toy.ipynb"),
    output:
        toy="<roar>/toy.csv",
        record="<roar>/toy.json",
        notebook="<roar>/roar_toy.ipynb",
    log:
        "<roar_logs>/toy.log",
    conda:
        "environment.yml"
    resources:
        runtime=runtime(ROAR, "roar_toy"),
        mem_mb=memory(ROAR),
    params:
        code=nb_code("notebooks/roar_toy.ipynb"),
        lib=lib_code("roar_toy"),
    shell:
        "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook} -p seeds 50"
        " -o out_path {output.toy} -o record_path {output.record} > {log} 2>&1"


rule roar_collect:
    """One table of all trainings, one of all checks."""
    input:
        base="<roar>/base/rows.parquet",
        rows=[f"<roar>/{id}/{mode}_{level}/rows.parquet" for id, mode, level in ROAR.trainings],
        trust=expand("<roar>/{id}/trust.parquet", id=ROAR.estimators),
        again=roar_again("roar_collect", "roar_collect.json"),
    output:
        roar="<roar>/roar.parquet",
        trust="<roar>/trust.parquet",
        record="<roar>/roar_collect.json",
    log:
        "<roar_logs>/collect.log",
    conda:
        "environment.yml"
    resources:
        runtime=runtime(ROAR, "analysis"),
        mem_mb=memory(ROAR),
    params:
        file=ROAR.kept,
        folder=subpath(output.roar, parent=True),
    shell:
        "python -m xailib.workflow.roar_study collect {params.file} {params.folder} > {log} 2>&1"


rule roar_results:
    """Tables, figures and claims of the whole ROAR study."""
    input:
        notebook=ancient("notebooks/roar_results.ipynb"),
        tables=rules.roar_collect.output,
        toy="<roar>/toy.csv",
        again=roar_again("roar_results", "roar_results.ipynb"),
    output:
        notebook="<roar>/roar_results.ipynb",
    log:
        "<roar_logs>/results.log",
    conda:
        "environment.yml"
    resources:
        runtime=runtime(ROAR, "analysis"),
        mem_mb=memory(ROAR),
    params:
        file=ROAR.kept,
        folder=subpath(output.notebook, parent=True),
        study=verbatim(ROAR.needs("roar_results")),
        code=nb_code("notebooks/roar_results.ipynb"),
        lib=lib_code("roar_results"),
    shell:
        "python -m xailib.workflow.run {input.notebook} {log} --warm --final {output.notebook} -f {params.file}"
        " -p results_dir {params.folder} -p out_dir {params.folder}/figures -p findings_dir {params.folder} > {log} 2>&1"
