"""Networks: fetched from where their records say, or trained here. Included by the Snakefile."""


rule fetch:
    """The weights of one network, once: a download goes on where it was cut off, and its sha256 is checked."""
    input:
        model=file_of("models"),
    output:
        "resources/weights/{model}/fetched.json",
    log:
        "logs/weights/{model}/fetch.log",
    localrule: True
    conda:
        ENVIRONMENT
    shell:
        "python -m xailib.workflow fetch {wildcards.model} > {log}"


# One small network, from the recipe in its parameter file.
use rule slice as train with:
    input:
        notebook=ancient(tracked("notebooks/train.ipynb")),
        model=file_of("models"),
        initial=lambda wildcards: expand(
            "results/weights/{id}/weights.safetensors", id=initial_weights(wildcards.model)
        ),
    output:
        weights="results/weights/{model}/weights.safetensors",
        record="results/weights/{model}/train.json",
        notebook="results/weights/{model}/train.ipynb",
    log:
        "logs/weights/{model}/train.log",
    benchmark:
        "logs/weights/{model}/train.tsv"
    params:
        warm="",  # it takes hours
        also="-p steps 0",
        origin=STUDY.origin("train"),


rule weights:
    """Train the networks of the study's data set, and ship them: weights, their sha256, and the model card."""
    input:
        lambda wildcards: expand("results/weights/{id}/weights.safetensors", id=to_train(STUDY.values["dataset"])),
    log:
        "logs/weights/card.log",
    conda:
        ENVIRONMENT
    params:
        root=verbatim(f"--root {quote(STUDY.values['root'])}" if STUDY.values.get("root") else ""),
    shell:
        "python -m xailib.training.card results/weights {params.root} 2>&1 | tee {log}"
