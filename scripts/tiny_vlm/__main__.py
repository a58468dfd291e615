"""`python -m scripts.tiny_vlm FOLDER`."""

import argparse
from pathlib import Path

import torch

from scripts.tiny_vlm.conversations import MARKER, samples
from scripts.tiny_vlm.export import read_text_part, write_text_part, write_vision_part
from scripts.tiny_vlm.train import learn, new_model, recited, train_tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the tiny vision language model of the tests.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--start", type=Path, help="a folder of an earlier build, to go on from")
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    told = list(samples(90))
    learned, unseen = told[:-36], told[-36:]
    if options.start:
        model, tokenizer = read_text_part(options.start / "text.gguf")
    else:
        tokenizer = train_tokenizer([one.prompt.replace(MARKER, "") + one.reply for one in learned])
        model = new_model(tokenizer.get_vocab_size())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    lengths = [len(tokenizer.encode(one.prompt).ids) for one in learned]
    print(
        f"{len(learned)} prompts of {min(lengths)} to {max(lengths)} tokens, {parameters} parameters",
        flush=True,
    )
    learn(model, tokenizer, learned, steps=options.steps, rate=1e-3 if options.start else 3e-3)
    missed = [one.reply for one in unseen if not recited(model, tokenizer, one)]
    print(f"whole replies by heart: {len(unseen) - len(missed)} of {len(unseen)}", *missed, sep="\n")
    options.folder.mkdir(parents=True, exist_ok=True)
    write_text_part(options.folder / "text.gguf", model, tokenizer)
    write_vision_part(options.folder / "vision.gguf", model.config.hidden_size)


main()
