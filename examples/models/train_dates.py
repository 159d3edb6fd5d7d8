r"""dates.onnx: reads a date as people write it and spells it the ISO way, one letter at a time.

Input:   text [length] int64, the ASCII codes (0..127) of the text; length >= 1.
Outputs: output [n_codes] int64, the ASCII codes of the answer: bytes(output).decode();
         steps [] int64, the decoder steps taken: n_codes + 1 (the last says "end"), at most 16.

What it reads (FULL_FORMATS and MONTH_FORMATS below are the exact list; upper, lower and title
case alike, with or without commas, one space before or after allowed):
  22/11/26  22/11/2026  22.11.26  22-11-2026    day first, with or without leading zeros
  2026-11-22  2026.11.22  2026/11/22  20261122
  22 Nov 26  22 Nov '26  22-Nov-2026  22nd November 2026  the 22nd of november 2026
  Nov 22nd, 2026  November 22, 2026  2026 Nov 22
  sunday 22 november 2026  Sun, 22 Nov 2026  sunday the 22nd of november 2026 ...
  November 2026  Nov 2026  11/2026  2026-11     no day: the answer is 2026-11
Anything else ("hello world") is answered with "?". Years are 1950..2049; two digits mean the
year in that range. Days that do not exist (31 February) were never shown to it.

A bidirectional GRU reads the text. The decoder is a Loop: attend to the letters, one GRU cell
step, pick a letter; it stops when the letter is the newline. Weights, attention keys and the
encoder's states are captured from the outer scope.
"""

from __future__ import annotations

import datetime
import json
import random
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import torch
from common import (
    BOOL,
    FLOAT,
    HERE,
    INT64,
    GraphWriter,
    make_deterministic,
    open_session,
    percent,
    save_model,
    value,
)
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

FULL_FORMATS = """
{d}/{m}/{yy}|{dd}/{mm}/{yy}|{d}/{m}/{yyyy}|{dd}/{mm}/{yyyy}
{d}.{m}.{yy}|{dd}.{mm}.{yy}|{d}.{m}.{yyyy}|{dd}.{mm}.{yyyy}
{d}-{m}-{yy}|{dd}-{mm}-{yy}|{d}-{m}-{yyyy}|{dd}-{mm}-{yyyy}
{yyyy}-{mm}-{dd}|{yyyy}.{mm}.{dd}|{yyyy}/{mm}/{dd}|{yyyy}/{m}/{d}|{yyyy}{mm}{dd}
{d} {Mon} {yy}|{dd} {Mon} {yy}|{d} {Mon} '{yy}|{d} {Mon} {yyyy}|{d}-{Mon}-{yyyy}|{d}-{Mon}-{yy}
{d} {Month} {yyyy}|{dd} {Month} {yyyy}|{d}. {Month} {yyyy}|{d} {Month} {yy}
{th} {Mon} {yyyy}|{th} {Month} {yyyy}|{th} of {Month} {yyyy}|the {th} of {Month} {yyyy}
{th} of {Month}, {yyyy}|the {th} of {Mon} {yyyy}|{th} {Month} {yy}|{th} {Mon} {yy}
{Mon} {d}, {yyyy}|{Mon} {th}, {yyyy}|{Month} {d}, {yyyy}|{Month} {th}, {yyyy}
{Month} the {th}, {yyyy}|{yyyy} {Mon} {d}|{yyyy} {Month} {d}
{Day} {d} {Month} {yyyy}|{Day}, {d} {Month} {yyyy}|{Day} the {th} of {Month} {yyyy}
{Day}, {Month} {d}, {yyyy}|{Day}, {Month} {th}, {yyyy}|{Day} {th} {Month} {yyyy}
{Dy} {d} {Mon} {yyyy}|{Dy}, {d} {Mon} {yyyy}|{Dy}, {Mon} {d}, {yyyy}|{Dy} {d} {Mon} {yy}
{Dy} {dd}/{mm}/{yyyy}|{Day} {dd}.{mm}.{yyyy}|{Dy} {d}/{m}/{yy}
""".strip().replace("\n", "|").split("|")  # fmt: skip
MONTH_FORMATS = ["{Month} {yyyy}", "{Mon} {yyyy}", "{mm}/{yyyy}", "{yyyy}-{mm}"]
MONTH_SHARE = 0.06
NOT_A_DATE_SHARE = 0.04
FIRST_DAY = datetime.date(1950, 1, 1).toordinal()
LAST_DAY = datetime.date(2049, 12, 31).toordinal()

# The letters of an answer; class i of the decoder is OUTPUT_ALPHABET[i].
OUTPUT_ALPHABET = "\n0123456789-?"
END = ord("\n")  # ends an answer, and stands for "nothing yet" at the first step
MAX_STEPS = 16
EMBEDDING, ENCODER, DECODER = 24, 48, 64

N_TRAIN_STEPS = 6000
BATCH = 128
PEAK_RATE = 4e-3
PAD = -1  # class that does not count in the loss


@dataclass(slots=True)
class Example:
    text: str
    answer: str


# --- data -----------------------------------------------------------------------------------


def ordinal(day: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
    return f"{day}{endings.get(day, 'th')}"


def write_date(day: datetime.date, pattern: str, rng: random.Random) -> str:
    month = day.strftime("%B")
    short = month[:3]
    if month == "September" and rng.random() < 0.4:
        short = "Sept"
    text = pattern.format(
        d=day.day,
        dd=f"{day.day:02}",
        th=ordinal(day.day),
        m=day.month,
        mm=f"{day.month:02}",
        Mon=short,
        Month=month,
        yy=f"{day.year % 100:02}",
        yyyy=day.year,
        Dy=day.strftime("%a"),
        Day=day.strftime("%A"),
    )
    if rng.random() < 0.2:
        text = text.replace(",", "")
    if rng.random() < 0.08:  # phone keyboards like to add one
        text = rng.choice([text + " ", " " + text])
    case = rng.random()
    if case < 0.35:
        return text.lower()
    if case < 0.45:
        return text.upper()
    return text


def write_nonsense(rng: random.Random) -> str:
    """Letters, words or a stray number: something that is no date."""
    kind = rng.random()
    if kind < 0.2:
        return str(rng.randrange(10 ** rng.randint(1, 3)))
    words = []
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.4:
            words.append(
                rng.choice(
                    [
                        "hello",
                        "world",
                        "what",
                        "is",
                        "the",
                        "of",
                        "time",
                        "on",
                        "today",
                        "and",
                        "not",
                        "a",
                    ]
                )
            )
        else:
            letters = rng.choices("etaoinshrdlucmfwypvbgkjqxz", k=rng.randint(1, 8))
            words.append("".join(letters))
    text = " ".join(words)
    if rng.random() < 0.3:
        return text.capitalize()
    return text


def is_held_out(number: int) -> bool:
    """One day (or month) in ten is never trained on; Knuth's hash scatters them."""
    return (number * 2654435761 % 2**32) % 10 == 7


def make_example(rng: random.Random, held_out: bool) -> Example:
    kind = rng.random()
    if kind < NOT_A_DATE_SHARE:
        return Example(write_nonsense(rng), "?")
    month_only = kind < NOT_A_DATE_SHARE + MONTH_SHARE
    while True:
        day = datetime.date.fromordinal(rng.randint(FIRST_DAY, LAST_DAY))
        number = day.toordinal()
        if month_only:
            number = day.year * 12 + day.month
        if is_held_out(number) == held_out:
            break
    if month_only:
        return Example(write_date(day, rng.choice(MONTH_FORMATS), rng), day.isoformat()[:7])
    return Example(write_date(day, rng.choice(FULL_FORMATS), rng), day.isoformat())


def make_batch(examples: list[Example]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Text codes, text lengths, decoder input codes and wanted classes, each padded."""
    examples = sorted(examples, key=lambda e: -len(e.text))
    texts = [torch.tensor(list(e.text.encode())) for e in examples]
    answers = [e.answer + "\n" for e in examples]
    previous = [torch.tensor(list(("\n" + a[:-1]).encode())) for a in answers]
    wanted = [torch.tensor([OUTPUT_ALPHABET.index(c) for c in a]) for a in answers]
    lengths = torch.tensor([len(t) for t in texts])
    return (
        pad_sequence(texts, batch_first=True),
        lengths,
        pad_sequence(previous, batch_first=True),
        pad_sequence(wanted, batch_first=True, padding_value=PAD),
    )


# --- model and training ---------------------------------------------------------------------


class DateReader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(128, EMBEDDING)
        self.encoder = nn.GRU(EMBEDDING, ENCODER, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * ENCODER, DECODER)
        self.keys = nn.Linear(2 * ENCODER, DECODER, bias=False)
        self.cell = nn.GRUCell(EMBEDDING + 2 * ENCODER, DECODER)
        self.head = nn.Linear(DECODER + 2 * ENCODER, len(OUTPUT_ALPHABET))

    def forward(self, text: Tensor, lengths: Tensor, previous: Tensor) -> Tensor:
        """Class scores [batch, steps, classes] when fed the right previous letters."""
        packed = pack_padded_sequence(self.embedding(text), lengths, batch_first=True)
        packed_states, last = self.encoder(packed)
        states, _ = pad_packed_sequence(packed_states, batch_first=True)
        hidden = torch.tanh(self.bridge(torch.cat([last[0], last[1]], dim=1)))
        keys = self.keys(states)
        padding = torch.arange(text.shape[1]) >= lengths[:, None]
        letters = self.embedding(previous)
        scores = []
        for step in range(previous.shape[1]):
            match = torch.einsum("bld,bd->bl", keys, hidden).masked_fill(padding, -1e9)
            context = torch.einsum("bl,ble->be", match.softmax(dim=1), states)
            hidden = self.cell(torch.cat([letters[:, step], context], dim=1), hidden)
            scores.append(self.head(torch.cat([hidden, context], dim=1)))
        return torch.stack(scores, dim=1)


def silence_unseen_letters(model: DateReader, rng: random.Random) -> None:
    """Zero the embedding of letters that training never showed, in place of its random start."""
    seen = set(OUTPUT_ALPHABET.encode())
    for _ in range(20000):
        seen.update(make_example(rng, held_out=False).text.encode())
    with torch.no_grad():
        for code in set(range(128)) - seen:
            model.embedding.weight[code] = 0


def train(rng: random.Random) -> DateReader:
    model = DateReader()
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=N_TRAIN_STEPS, pct_start=0.1
    )
    for step in range(N_TRAIN_STEPS):
        batch = [make_example(rng, held_out=False) for _ in range(BATCH)]
        text, lengths, previous, wanted = make_batch(batch)
        scores = model(text, lengths, previous)
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), wanted.flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 500 == 0 or step == N_TRAIN_STEPS - 1:
            print(f"step {step}: loss {loss.item():.5f}", flush=True)
    silence_unseen_letters(model, rng)
    return model


# --- the ONNX graph -------------------------------------------------------------------------


def onnx_gate_order(torch_gates: Tensor) -> Tensor:
    """torch stacks the gates as reset, update, new; ONNX GRU wants update, reset, new."""
    reset, update, new = torch_gates.detach().chunk(3)
    return torch.cat([update, reset, new])


def write_encoder(g: GraphWriter, model: DateReader) -> None:
    """text -> encoder_states [length, 96], attention_keys [64, length], initial_hidden [1, 64]."""
    weights = dict(model.encoder.named_parameters())

    def both_ways(kind: str) -> Tensor:
        forward, backward = weights[f"{kind}_l0"], weights[f"{kind}_l0_reverse"]
        return torch.stack([onnx_gate_order(forward), onnx_gate_order(backward)])

    w = g.constant("encoder.W", both_ways("weight_ih"))
    r = g.constant("encoder.R", both_ways("weight_hh"))
    b = g.constant("encoder.B", torch.cat([both_ways("bias_ih"), both_ways("bias_hh")], dim=1))
    embedding = g.constant("embedding", model.embedding.weight)
    batch_axis = g.constant("batch_axis", [1], np.int64)
    flat_states = g.constant("flat_states", [-1, 2 * ENCODER], np.int64)

    letters = g.node("Gather", [embedding, "text"], "letters", "encoder/embed")
    letters = g.node("Unsqueeze", [letters, batch_axis], "letter_batch", "encoder/add_batch")
    states = g.node(
        "GRU",
        [letters, w, r, b],
        "states_by_direction last_by_direction",
        "encoder/gru",
        hidden_size=ENCODER,
        direction="bidirectional",
        linear_before_reset=1,
    )
    # [length, 2, 1, 48] and [2, 1, 48]: with batch 1 the two directions already lie side by side.
    g.node("Reshape", [states, flat_states], "encoder_states", "encoder/join_directions")
    last = g.node("Reshape", ["last_by_direction", flat_states], "last", "encoder/join_last")
    hidden = g.linear("decoder/start/bridge", last, model.bridge, "bridge")
    g.node("Tanh", [hidden], "initial_hidden", "decoder/start/tanh")
    keys = g.constant("keys.weight", model.keys.weight)
    g.node("Gemm", [keys, "encoder_states"], "attention_keys", "decoder/attention/keys", transB=1)


def write_gru_cell(g: GraphWriter) -> None:
    """cell_input, hidden_in -> hidden_out, as torch.nn.GRUCell computes it."""
    cell_input = ["cell_input", "cell.weight_ih", "cell.bias_ih"]
    cell_hidden = ["hidden_in", "cell.weight_hh", "cell.bias_hh"]
    g.node("Gemm", cell_input, "input_gates", "decoder/cell/input_gates", transB=1)
    g.node("Gemm", cell_hidden, "hidden_gates", "decoder/cell/hidden_gates", transB=1)
    for source in ("input", "hidden"):
        parts = f"{source}_reset {source}_update {source}_new"
        name = f"decoder/cell/split_{source}"
        g.node("Split", [f"{source}_gates"], parts, name, axis=1, num_outputs=3)
    for gate in ("reset", "update"):
        name = f"decoder/cell/{gate}"
        g.node("Add", [f"input_{gate}", f"hidden_{gate}"], f"{gate}_sum", f"{name}_sum")
        g.node("Sigmoid", [f"{gate}_sum"], gate, name)
    g.node("Mul", ["reset", "hidden_new"], "remembered", "decoder/cell/remember")
    g.node("Add", ["input_new", "remembered"], "new_sum", "decoder/cell/new_sum")
    g.node("Tanh", ["new_sum"], "new", "decoder/cell/new")
    g.node("Sub", ["hidden_in", "new"], "difference", "decoder/cell/difference")
    g.node("Mul", ["update", "difference"], "kept", "decoder/cell/keep")
    g.node("Add", ["new", "kept"], "hidden_out", "decoder/cell/hidden")


def build_decoder_step() -> onnx.GraphProto:
    """One letter of the answer. Reads the weights, keys and states of the outer graph."""
    g = GraphWriter("decoder_step")
    g.node("MatMul", ["hidden_in", "attention_keys"], "match", "decoder/attention/match")
    g.node("Softmax", ["match"], "attention", "decoder/attention/softmax", axis=1)
    g.node("MatMul", ["attention", "encoder_states"], "context", "decoder/attention/context")
    g.node("Gather", ["embedding", "code_in"], "letter", "decoder/embed")
    g.node("Concat", ["letter", "context"], "cell_input", "decoder/cell/input", axis=1)
    write_gru_cell(g)
    g.node("Concat", ["hidden_out", "context"], "summary", "decoder/head/input", axis=1)
    g.node("Gemm", ["summary", "head.weight", "head.bias"], "logits", "decoder/head", transB=1)
    g.node("ArgMax", ["logits"], "class", "decoder/pick", axis=1, keepdims=0)
    g.node("Gather", ["alphabet", "class"], "code_out", "decoder/spell")
    g.node("Squeeze", ["code_out"], "step_code", "decoder/record")
    g.node("Equal", ["step_code", "end_code"], "is_end", "decoder/is_end")
    g.node("Not", ["is_end"], "go_on", "decoder/go_on")
    g.node("Add", ["iteration", "one"], "steps_out", "decoder/count")
    inputs = [
        value("iteration", INT64, []),
        value("go_on_in", BOOL, []),
        value("code_in", INT64, [1]),
        value("hidden_in", FLOAT, [1, DECODER]),
        value("steps_in", INT64, []),
    ]
    outputs = [
        value("go_on", BOOL, []),
        value("code_out", INT64, [1]),
        value("hidden_out", FLOAT, [1, DECODER]),
        value("steps_out", INT64, []),
        value("step_code", INT64, []),
    ]
    return g.graph(inputs, outputs)


def build(model: DateReader) -> onnx.GraphProto:
    g = GraphWriter("dates")
    write_encoder(g, model)
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        g.constant(f"cell.{kind}", getattr(model.cell, kind))
    g.constant("head.weight", model.head.weight)
    g.constant("head.bias", model.head.bias)
    g.constant("alphabet", list(OUTPUT_ALPHABET.encode()), np.int64)
    g.constant("end_code", END, np.int64)
    g.constant("one", 1, np.int64)
    g.constant("max_steps", MAX_STEPS, np.int64)
    g.constant("start", True, np.bool_)
    g.constant("start_code", [END], np.int64)
    g.constant("no_steps", 0, np.int64)
    g.constant("first", [0], np.int64)

    g.node(
        "Loop",
        ["max_steps", "start", "start_code", "initial_hidden", "no_steps"],
        "last_code last_hidden steps codes",
        "decoder",
        body=build_decoder_step(),
    )
    # Drop the newline; there is none when the answer was cut off at MAX_STEPS.
    ended = g.node("Equal", ["last_code", "end_code"], "ended", "answer/ended")
    ended = g.node("Cast", [ended], "n_end_codes", "answer/n_end_codes", to=INT64)
    length = g.node("Sub", ["steps", ended], "answer_length", "answer/length")
    g.node("Slice", ["codes", "first", length, "first"], "output", "answer/slice")
    inputs = [value("text", INT64, ["length"])]
    outputs = [value("output", INT64, ["n_codes"]), value("steps", INT64, [])]
    return g.graph(inputs, outputs)


# --- evaluation -----------------------------------------------------------------------------


def read_date(session: ort.InferenceSession, text: str) -> str:
    codes = np.frombuffer(text.encode(), np.uint8).astype(np.int64)
    output, steps = session.run(["output", "steps"], {"text": codes})
    if steps not in (len(output) + 1, MAX_STEPS):
        raise SystemExit(f"{text!r}: {steps} steps for {len(output)} codes")
    return bytes(output.tolist()).decode()


def report(title: str, examples: list[Example], session: ort.InferenceSession) -> None:
    wrong = []
    for example in examples:
        answer = read_date(session, example.text)
        if answer != example.answer:
            wrong.append(f"{example.text!r} -> {answer} (is {example.answer})")
    right = percent(len(examples) - len(wrong), len(examples))
    print(f"onnxruntime: {title}: {right} of {len(examples)} exactly right", *wrong[:8], sep="\n  ")


def main() -> None:
    make_deterministic(seed=1)
    model = train(random.Random(1))
    session = open_session(save_model(build(model), "reads a date, writes it as yyyy-mm-dd"))

    rng = random.Random(2)
    held_out = [make_example(rng, held_out=True) for _ in range(5000)]
    full = [e for e in held_out if len(e.answer) == 10]
    report("held-out full dates", full, session)
    report("held-out months", [e for e in held_out if len(e.answer) == 7], session)
    report("texts that are no date", [e for e in held_out if e.answer == "?"], session)
    report("dates_test.json", held_out[:300], session)
    pairs = [{"input": e.text, "expected": e.answer} for e in held_out[:300]]
    lines = ",\n".join(json.dumps(pair) for pair in pairs)
    (HERE / "dates_test.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
