"""Two models, one of them a file beside this one, compared from Python."""

from harness import Limits, read_records, run

records = run(
    "synthetic/cumsum[length=64]",
    ["leaky", "s4d[state=8]"],
    protocol={"steps": 20, "batch": 8, "width": 16},
    seeds=1,
    plugins="leaky.py",
    results="results/notebook",
    limits=Limits(timeout_s=600),
)
unfinished = {record.model: record.reason for record in records if record.outcome != "ok"}
losses = {record.model: record.learned.curve[-1] for record in records if record.learned}

frame = read_records("results/notebook")  # all that the folder holds, in pandas
scores = frame.pivot_table(index="task", columns="model", values="score")
