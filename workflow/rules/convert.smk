# Only where `model.gguf` asks for it: the model as files that every other stage loads.
rule convert:
    input:
        forcible("convert"),
        model_files() if CONFIG.model.gguf is not None else [],


if CONFIG.model.gguf is not None:

    rule convert_model:
        output:
            files.model_files(CONFIG.model.path, CONFIG.model),
        log:
            f"{RUN}/logs/convert_model.log",
        benchmark:
            f"{RUN}/benchmarks/convert_model.tsv"
        conda:
            ENVIRONMENT
        threads: CONFIG.resources.cpu.threads
        resources:
            **asked("cpu"),
        params:
            gguf=CONFIG.model.gguf,
            code=code("convert"),
        shell:
            "python -m reasonmaxxer convert --gguf {params.gguf:q}"
            " --out $(dirname {output[0]:q}) > {log} 2>&1"
