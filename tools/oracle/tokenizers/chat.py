"""Writes what transformers renders with chat templates.

    python tools/oracle/tokenizers/chat.py internal/lm/chat/testdata

renders the *.jinja files there into <name>.jsonl. With name=tokenizer_config.json
behind the folder it renders those models' own templates instead; the test
TestReference in internal/lm/chat compares them where DISTILLFLOW_CHAT names the
folder.
"""

import glob
import json
import os
import sys

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

TOKENS = {
    "llama": dict(bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"),
    "chatml": dict(eos_token="<|im_end|>", pad_token="<|endoftext|>"),
    "mistral": dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>"),
    "gemma": dict(bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"),
}

CONVERSATIONS = [
    [("user", "How many legs has a spider?")],
    [("user", " What is 2 + 2? \n"), ("assistant", "It is 4.")],
    [("system", "You are a tutor."), ("user", "Hi"), ("assistant", "Hello!\nHow can I help?")],
    [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d ")],
    [("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c")],
    [("user", "\u00fc\u4f60 {{ x }} {% if %} <|im_end|> \"q\" & <b>"), ("assistant", "<think>\nhm\n</think>\n\nok 'x'")],
    [("user", ""), ("assistant", "x")],
]


def text(token):
    return token["content"] if isinstance(token, dict) else token


def render(name, template, tokens, folder, file=None):
    own = Tokenizer.from_file(file) if file else Tokenizer(models.BPE())
    tok = PreTrainedTokenizerFast(tokenizer_object=own, **tokens)
    with open(os.path.join(folder, name + ".jsonl"), "w") as f:
        f.write(json.dumps({"template": "" if file is None else template, "tokenizer": file, **tokens}) + "\n")
        for turns in CONVERSATIONS:
            for prompt in (False, True):
                messages = [{"role": r, "content": c} for r, c in turns]
                out = {"messages": messages, "prompt": prompt}
                try:
                    out["text"] = tok.apply_chat_template(messages, chat_template=template, tokenize=False,
                                                          add_generation_prompt=prompt)
                    if file:
                        # The template has written BOS: none is added.
                        out["ids"] = tok(out["text"], add_special_tokens=False)["input_ids"]
                except Exception as e:  # what the template itself refuses
                    out["refused"] = str(e)
                f.write(json.dumps(out) + "\n")


def main():
    folder, specs = sys.argv[1], sys.argv[2:]
    os.makedirs(folder, exist_ok=True)
    if not specs:
        for path in sorted(glob.glob(os.path.join(folder, "*.jinja"))):
            name = os.path.basename(path)[: -len(".jinja")]
            with open(path) as f:
                render(name, f.read(), TOKENS[name], folder)
    for spec in specs:
        name, path = spec.split("=", 1)
        with open(path) as f:
            c = json.load(f)
        if c.get("chat_template"):
            tokens = {k: text(c[k]) for k in ("bos_token", "eos_token", "pad_token", "unk_token") if c.get(k)}
            file = os.path.join(os.path.dirname(os.path.abspath(path)), "tokenizer.json")
            render(name, c["chat_template"], tokens, folder, file)


if __name__ == "__main__":
    main()
